/* shadow/recorder.h - what of a copied request is written to a record file: its settings, its redaction, its form.
 *
 *   main:   recorder_configure (the shadows with `record:`), recorder_reopen (USR1)
 *   thread: recorder_write (a pair was compared), recorder_flush (nothing is left to do)
 *
 * The thread is the comparer's (shadow/comparer.h): its hooks on_record and on_idle are these two functions. It takes new
 * settings over before its next pair; no lock is held while a file is written.
 *
 * Not everything is told. Headers that redaction names are null, and those with an address that holds what it names;
 * those that a shadow's `headers: remove` names are left out, and so are the headers of the connection. Arguments of the
 * query, and of forms, have their values hidden. Bodies of JSON are written again with values hidden, when there are any;
 * one that says it is JSON or a form, or begins like a document, and cannot be looked into (compressed, cut, broken) is
 * left out and called truncated, so nobody sends half a request. Other bodies are kept byte for byte. Of answers only
 * digests are kept.
 *
 * Owner: the server; made before the comparer, destroyed after it. */
#ifndef SHADOW_RECORDER_H
#define SHADOW_RECORDER_H

#include "shadow/compare.h"
#include "shadow/pair.h"
#include "shadow/record.h"

#define RECORDER_BODY_MAX_BYTES                                                                                        \
    (16u * 1024 * 1024) /* a longer body is left out: its line would be too long to be read */

struct recorder;

/* A shadow with `record:`. Borrowed for the call. */
struct recorded_shadow {
    uint32_t shadow_id;
    struct record_settings settings;
    const struct compare_config *compare; /* whose headers and redaction count, also when nothing is compared */
    const struct slice_list *removed;     /* headers that the copy did not have */
};

struct recorder *recorder_create(void);
/* Writes what is buffered. The comparer's thread has ended. */
void recorder_destroy(struct recorder *r);

/* What is recorded from now on; files are closed, and opened again when there is something to write. From main. */
void recorder_configure(struct recorder *r, const struct recorded_shadow *shadows, size_t count);
/* From any thread. */
void recorder_reopen(struct recorder *r);
/* For metrics. From any thread. */
const struct records *recorder_records(const struct recorder *r);

/* A pair of a shadow that is not recorded is passed over. From the comparer's thread. */
void recorder_write(struct recorder *r, const struct pair *p);
void recorder_flush(struct recorder *r);

#endif
