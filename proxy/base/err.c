/* base/err.c - collecting, ordering and wording operator errors. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void err_list_init(struct err_list *list, struct arena *arena)
{
    *list = (struct err_list){ .arena = arena };
    list->last = &list->first;
}

/* The name outlives the file's configuration; errors come in runs of one file, which share a copy. */
static const char *own_file_name(struct err_list *list, const char *file)
{
    if (file == NULL)
        return NULL;
    if (list->last_file == NULL || strcmp(list->last_file, file) != 0)
        list->last_file = arena_copy(list->arena, slice_from_cstr(file)).ptr;
    return list->last_file;
}

static struct err *err_append(struct err_list *list, enum err_severity severity, struct place place,
                              const char *message)
{
    struct err *e = arena_zalloc(list->arena, sizeof *e);
    e->severity = severity;
    e->place = place;
    e->place.file = own_file_name(list, place.file);
    e->message = message;
    *list->last = e;
    list->last = &e->next;
    if (severity == ERR_ERROR)
        list->error_count++;
    else
        list->warning_count++;
    return e;
}

struct err *err_add(struct err_list *list, struct place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice message = arena_vprintf(list->arena, format, args);
    va_end(args);
    return err_append(list, ERR_ERROR, place, message.ptr);
}

struct err *err_add_warning(struct err_list *list, struct place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice message = arena_vprintf(list->arena, format, args);
    va_end(args);
    return err_append(list, ERR_WARNING, place, message.ptr);
}

void err_hint(struct err_list *list, struct err *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    e->hint = arena_vprintf(list->arena, format, args).ptr;
    va_end(args);
}

static int place_compare(const struct place *a, const struct place *b)
{
    int order = strcmp(a->file ? a->file : "", b->file ? b->file : "");
    if (order != 0)
        return order;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    return a->column < b->column ? -1 : a->column > b->column;
}

/* Ties go to `a`, which keeps the sort stable. */
static struct err *merge(struct err *a, struct err *b)
{
    struct err *first = NULL, **last = &first;
    while (a != NULL && b != NULL) {
        struct err **smaller = place_compare(&a->place, &b->place) <= 0 ? &a : &b;
        *last = *smaller;
        last = &(*last)->next;
        *smaller = *last;
    }
    *last = a ? a : b;
    return first;
}

/* Recursion is as deep as log2 of the count. A file of nonsense may have a hundred thousand errors: no quadratic
   sort. */
static struct err *merge_sort(struct err *first, size_t count)
{
    if (count < 2)
        return first;
    struct err *middle = first;
    for (size_t i = 1; i < count / 2; i++)
        middle = middle->next;
    struct err *second = middle->next;
    middle->next = NULL;
    return merge(merge_sort(first, count / 2), merge_sort(second, count - count / 2));
}

void err_list_sort(struct err_list *list)
{
    list->first = merge_sort(list->first, list->error_count + list->warning_count);
    list->last = &list->first;
    while (*list->last != NULL)
        list->last = &(*list->last)->next;
}

struct slice err_format(struct arena *arena, const struct err *e)
{
    char position[32] = "";
    if (e->place.line != 0 && e->place.column != 0)
        snprintf(position, sizeof position, ":%u:%u", e->place.line, e->place.column);
    else if (e->place.line != 0)
        snprintf(position, sizeof position, ":%u", e->place.line);
    return arena_printf(arena, "%s%s%s%s%s%s%s%s", e->place.file ? e->place.file : "", position,
                        e->place.file ? ": " : "", e->severity == ERR_WARNING ? "warning: " : "", e->message,
                        e->hint ? " (" : "", e->hint ? e->hint : "", e->hint ? ")" : "");
}

/* ---- nearest words ---------------------------------------------------------------------------------------------- */

/* Words longer than this are never a typing mistake away from one of ours. */
#define WORD_MAX 48u

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

/* Edit distance in which swapping two neighbours is one step (optimal string alignment). Three rows of the table. */
static unsigned edit_distance(struct slice a, struct slice b)
{
    unsigned rows[3][WORD_MAX + 1];
    for (unsigned j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned cost = a.ptr[i - 1] != b.ptr[j - 1];
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + cost);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1] &&
                above2[j - 2] + 1 < row[j])
                row[j] = above2[j - 2] + 1;
        }
    }
    return rows[a.len % 3][b.len]; /* row i stands at i % 3: this one, the one above, the one above that */
}

const char *err_nearest_word(struct slice word, const char *const *known, size_t known_count)
{
    const char *nearest = NULL;
    unsigned least = 3;
    for (size_t i = 0; i < known_count && word.len <= WORD_MAX; i++) {
        struct slice candidate = slice_from_cstr(known[i]);
        if (candidate.len > WORD_MAX)
            continue;
        unsigned distance = edit_distance(word, candidate);
        if (distance < least && distance * 2 < word.len) { /* a tie goes to the first; "to" is near to nothing */
            least = distance;
            nearest = known[i];
        }
    }
    return nearest;
}
