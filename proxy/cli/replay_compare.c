/* cli/replay_compare.c - how an answer differs from the recorded digest of another. Pure. */
#include "cli/replay.h"

#include <stdio.h>

#define VALUE_MAX_BYTES 200 /* of a header's value in the report */

struct comparing {
    struct arena *arena;
    struct replay_difference *first, **last;
};

static void differ(struct comparing *c, enum replay_kind kind, struct slice name, struct slice recorded,
                   struct slice now)
{
    struct replay_difference *d = arena_zalloc(c->arena, sizeof(*d));
    *d = (struct replay_difference){ NULL, kind, name, recorded, now };
    *c->last = d;
    c->last = &d->next;
}

static void compare_status(struct comparing *c, uint16_t recorded, uint16_t now)
{
    if (recorded != now)
        differ(c, REPLAY_STATUS, SLICE(""), arena_printf(c->arena, "%u", recorded), arena_printf(c->arena, "%u", now));
}

/* ---- headers --------------------------------------------------------------------------------------------------------- */

/* The values of all lines with the name, as one list (RFC 9110 5.3). ptr NULL: there is none. */
static struct slice values_of(struct arena *arena, const struct recorded_header *headers, size_t count,
                              struct slice name)
{
    struct text all = { 0 };
    bool is_there = false;
    for (size_t i = 0; i < count; i++) {
        if (!slice_equal_nocase(headers[i].name, name))
            continue;
        text_add_cstr(&all, is_there ? ", " : "");
        text_add(&all, headers[i].value);
        is_there = true;
    }
    struct slice copy = is_there ? arena_copy(arena, text_slice(&all)) : SLICE_NONE;
    text_fini(&all);
    return copy;
}

static struct slice shortened(struct arena *arena, struct slice value)
{
    if (value.ptr == NULL)
        return SLICE("(absent)");
    if (value.len <= VALUE_MAX_BYTES)
        return value;
    return arena_printf(arena, "%.*s...", SLICE_ARG(slice_first(value, VALUE_MAX_BYTES)));
}

static bool is_ignored(struct slice name, const struct option_list *ignored)
{
    for (size_t i = 0; i < ignored->count; i++)
        if (slice_equal_nocase(name, slice_from_cstr(ignored->items[i])))
            return true;
    return recorded_is_volatile(name);
}

/* Each name once, at its first line; a redacted line hides the whole list. */
static bool is_to_compare(const struct recorded_answer *a, size_t at)
{
    for (size_t i = 0; i < a->header_count; i++) {
        bool is_same_name = slice_equal_nocase(a->headers[i].name, a->headers[at].name);
        if (is_same_name && (i < at || a->headers[i].is_redacted))
            return false;
    }
    return true;
}

static void compare_headers(struct comparing *c, const struct recorded_answer *recorded,
                            const struct replay_answer *now, const struct option_list *ignored)
{
    for (size_t i = 0; i < recorded->header_count; i++) {
        struct slice name = recorded->headers[i].name;
        if (!is_to_compare(recorded, i) || is_ignored(name, ignored))
            continue;
        struct slice before = values_of(c->arena, recorded->headers, recorded->header_count, name);
        struct slice after = values_of(c->arena, now->headers, now->header_count, name);
        if (after.ptr == NULL || !slice_equal(before, after))
            differ(c, REPLAY_HEADER, name, shortened(c->arena, before), shortened(c->arena, after));
    }
}

/* ---- body ------------------------------------------------------------------------------------------------------------ */

/* "1234 bytes of JSON, sha256 0123456789ab" */
static struct slice body_words(struct arena *arena, uint64_t bytes, bool is_json, const char *sha256)
{
    return arena_printf(arena, "%llu bytes%s, sha256 %.12s", (unsigned long long)bytes, is_json ? " of JSON" : "",
                        sha256);
}

/* The same bytes are the same; so are two documents with the same canonical form. */
static void compare_bodies(struct comparing *c, const struct recorded_answer *recorded, const struct replay_answer *now)
{
    char json_sha256[DIGEST_SHA256_HEX_SIZE] = "";
    if (recorded->body_sha256[0] == '\0' && recorded->json_sha256[0] == '\0')
        return;
    if (strcmp(recorded->body_sha256, now->body_sha256) == 0)
        return;
    bool was_json = recorded->json_sha256[0] != '\0';
    if (was_json && now->body.ptr != NULL)
        recorded_json_digest(now->body, json_sha256);
    if (was_json && strcmp(recorded->json_sha256, json_sha256) == 0)
        return;
    const char *before = was_json ? recorded->json_sha256 : recorded->body_sha256;
    bool is_json = json_sha256[0] != '\0';
    differ(c, REPLAY_BODY, SLICE(""), body_words(c->arena, recorded->body_bytes, was_json, before),
           body_words(c->arena, now->body_bytes, is_json, is_json ? json_sha256 : now->body_sha256));
}

struct replay_difference *replay_compare(struct arena *arena, const struct recorded_answer *recorded,
                                         const struct replay_answer *now, const struct option_list *ignored_headers)
{
    struct comparing c = { .arena = arena };
    c.last = &c.first;
    compare_status(&c, recorded->status, now->status);
    compare_headers(&c, recorded, now, ignored_headers);
    compare_bodies(&c, recorded, now);
    return c.first;
}
