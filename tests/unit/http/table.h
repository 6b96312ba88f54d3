/* unit/http/table.h - rows of input and expected transcript, each run whole, in all two-way splits and byte by byte. */
#ifndef TESTS_UNIT_HTTP_TABLE_H
#define TESTS_UNIT_HTTP_TABLE_H

#include "http/feed.h"

struct row {
    const char *name;
    struct slice bytes;
    const char *expected; /* see feed.h; with the head's field lines when it holds " {" */
};

/* The feed's piece sizes are the table's own business. */
void table_check(const struct feed *feed, const struct row *rows, size_t row_count);

/* A literal of any bytes, NUL included, as a row wants it. */
#define BYTES(literal)                                                                                                 \
    {                                                                                                                  \
        (literal), sizeof(literal) - 1                                                                                 \
    }

#define TABLE_CHECK(feed, rows) table_check(feed, rows, sizeof(rows) / sizeof((rows)[0]))

#endif
