/* store/deed_form.c - deeds as copies and as text: what of each row is a number, and what a text, is said once.
 *
 * As text a deed is its rows one behind the other, each a letter and its columns, and a full stop at the end:
 *
 *     a 1764100800000, 4:weir 5:admin ...   r 11:checkout-v2 ...   .          (without the blanks)
 *
 * For this program's own use (store/spare.h): the order of the columns is the order of these tables. */
#include "store/deed.h"

#include <string.h>

struct form_column {
    size_t offset;
    char kind; /* 't' struct slice, 'i' int64_t (times too), 'u' uint32_t */
};

#define COLUMN(type, member, kind_)                                                                                    \
    {                                                                                                                  \
        .offset = offsetof(struct type, member), .kind = kind_                                                         \
    }

static const struct form_column audit_columns[] = {
    COLUMN(audit_line, at, 'i'),     COLUMN(audit_line, who, 't'),    COLUMN(audit_line, role, 't'),
    COLUMN(audit_line, action, 't'), COLUMN(audit_line, target, 't'), COLUMN(audit_line, reason, 't'),
    COLUMN(audit_line, detail, 't'),
};
static const struct form_column rollout_columns[] = {
    COLUMN(rollout_row, name, 't'),       COLUMN(rollout_row, revision, 't'),   COLUMN(rollout_row, state, 't'),
    COLUMN(rollout_row, step, 'i'),       COLUMN(rollout_row, weight_ppm, 'u'), COLUMN(rollout_row, hold_left_ms, 'i'),
    COLUMN(rollout_row, started_by, 't'), COLUMN(rollout_row, started_at, 'i'), COLUMN(rollout_row, changed_at, 'i'),
    COLUMN(rollout_row, detail, 't'),
};
static const struct form_column transition_columns[] = {
    COLUMN(transition_row, rollout, 't'),    COLUMN(transition_row, revision, 't'), COLUMN(transition_row, at, 'i'),
    COLUMN(transition_row, from_state, 't'), COLUMN(transition_row, to_state, 't'), COLUMN(transition_row, step, 'i'),
    COLUMN(transition_row, weight_ppm, 'u'), COLUMN(transition_row, who, 't'),      COLUMN(transition_row, reason, 't'),
    COLUMN(transition_row, detail, 't'),
};
static const struct form_column approval_columns[] = {
    COLUMN(approval_row, rollout, 't'), COLUMN(approval_row, revision, 't'), COLUMN(approval_row, step, 'i'),
    COLUMN(approval_row, who, 't'),     COLUMN(approval_row, at, 'i'),       COLUMN(approval_row, reason, 't'),
};
static const struct form_column incident_columns[] = {
    COLUMN(incident, id, 't'),        COLUMN(incident, rollout, 't'),
    COLUMN(incident, revision, 't'),  COLUMN(incident, guardrail, 't'),
    COLUMN(incident, cause, 't'),     COLUMN(incident, detected_at, 'i'),
    COLUMN(incident, detect_ms, 'i'), COLUMN(incident, zero_exposure_ms, 'i'),
    COLUMN(incident, evidence, 't'),  COLUMN(incident, timeline, 't'),
    COLUMN(incident, told, 't'),
};
static const struct form_column drill_columns[] = {
    COLUMN(drill_row, id, 't'),       COLUMN(drill_row, rollout, 't'),  COLUMN(drill_row, revision, 't'),
    COLUMN(drill_row, who, 't'),      COLUMN(drill_row, reason, 't'),   COLUMN(drill_row, state, 't'),
    COLUMN(drill_row, begun_at, 'i'), COLUMN(drill_row, ended_at, 'i'), COLUMN(drill_row, detail, 't'),
};
static const struct form_column event_columns[] = {
    COLUMN(event_row, at, 'i'),   COLUMN(event_row, kind, 't'), COLUMN(event_row, subject, 't'),
    COLUMN(event_row, text, 't'), COLUMN(event_row, who, 't'),  COLUMN(event_row, detail, 't'),
};

struct form {
    char letter;
    size_t row_bytes;
    const struct form_column *columns;
    size_t column_count;
};

#define FORM(letter, type, columns)                                                                                    \
    {                                                                                                                  \
        letter, sizeof(struct type), columns, ARRAY_COUNT(columns)                                                     \
    }

static const struct form forms[] = {
    FORM('a', audit_line, audit_columns),          FORM('r', rollout_row, rollout_columns),
    FORM('t', transition_row, transition_columns), FORM('p', approval_row, approval_columns),
    FORM('i', incident, incident_columns),         FORM('e', event_row, event_columns),
    FORM('d', drill_row, drill_columns),
};

#define FORM_COUNT ARRAY_COUNT(forms)

/* The rows of a deed in the order of the forms; NULL: no such row. */
static void rows_get(const struct deed *d, const void *rows[FORM_COUNT])
{
    const void *all[] = { &d->audit, d->rollout, d->transition, d->approval, d->incident, d->event, d->drill };
    memcpy(rows, all, sizeof all);
}

static struct deed *deed_of(void *const rows[FORM_COUNT], struct arena *arena)
{
    struct deed *d = arena_zalloc(arena, sizeof *d);
    const struct audit_line *line = rows[0];
    d->audit = *line;
    d->rollout = rows[1];
    d->transition = rows[2];
    d->approval = rows[3];
    d->incident = rows[4];
    d->event = rows[5];
    d->drill = rows[6];
    return d;
}

/* ---- copies -------------------------------------------------------------------------------------------------------------- */

static void *row_copy(const struct form *form, const void *row, struct arena *arena)
{
    if (row == NULL)
        return NULL;
    char *copy = arena_alloc(arena, form->row_bytes);
    memcpy(copy, row, form->row_bytes);
    for (size_t i = 0; i < form->column_count; i++)
        if (form->columns[i].kind == 't') {
            struct slice *text = (struct slice *)(copy + form->columns[i].offset);
            *text = arena_copy(arena, *text);
        }
    return copy;
}

struct deed *deed_copy(const struct deed *d, struct arena *arena)
{
    const void *rows[FORM_COUNT];
    void *copies[FORM_COUNT];
    rows_get(d, rows);
    for (size_t i = 0; i < FORM_COUNT; i++)
        copies[i] = row_copy(&forms[i], rows[i], arena);
    return deed_of(copies, arena);
}

static size_t row_bytes(const struct form *form, const char *row)
{
    size_t bytes = row != NULL ? form->row_bytes : 0;
    for (size_t i = 0; row != NULL && i < form->column_count; i++)
        if (form->columns[i].kind == 't')
            bytes += ((const struct slice *)(row + form->columns[i].offset))->len;
    return bytes;
}

size_t deed_bytes(const struct deed *d)
{
    const void *rows[FORM_COUNT];
    size_t bytes = 0;
    rows_get(d, rows);
    for (size_t i = 0; i < FORM_COUNT; i++)
        bytes += row_bytes(&forms[i], rows[i]);
    return bytes;
}

/* ---- text ---------------------------------------------------------------------------------------------------------------- */

static int64_t number_at(const char *at, char kind)
{
    int64_t number = 0;
    uint32_t small = 0;
    if (kind == 'i')
        memcpy(&number, at, sizeof number);
    else
        memcpy(&small, at, sizeof small);
    return kind == 'i' ? number : small;
}

static void column_write(struct text *out, const char *at, char kind)
{
    struct slice text;
    if (kind != 't') {
        text_printf(out, "%lld,", (long long)number_at(at, kind));
        return;
    }
    memcpy(&text, at, sizeof text);
    text_printf(out, "%zu:", text.len);
    text_add(out, text);
}

void deed_text_write(const struct deed *d, struct text *out)
{
    const void *rows[FORM_COUNT];
    rows_get(d, rows);
    for (size_t i = 0; i < FORM_COUNT; i++) {
        if (rows[i] == NULL)
            continue;
        text_add_char(out, forms[i].letter);
        for (size_t c = 0; c < forms[i].column_count; c++)
            column_write(out, (const char *)rows[i] + forms[i].columns[c].offset, forms[i].columns[c].kind);
    }
    text_add_char(out, '.');
}

/* Up to the mark, which is taken off too. */
static bool number_take(struct slice *rest, char mark, int64_t *out)
{
    uint64_t digits;
    bool is_negative = slice_has_prefix(*rest, SLICE("-"));
    size_t end = slice_find(*rest, mark);
    struct slice number = slice_after(slice_first(*rest, end), is_negative);
    if (end == rest->len || !slice_to_u64(number, &digits) || digits > INT64_MAX)
        return false;
    *out = is_negative ? -(int64_t)digits : (int64_t)digits;
    *rest = slice_after(*rest, end + 1);
    return true;
}

static bool column_take(struct slice *rest, struct arena *arena, char *at, char kind)
{
    int64_t number;
    if (!number_take(rest, kind == 't' ? ':' : ',', &number))
        return false;
    if (kind == 'i') {
        memcpy(at, &number, sizeof number);
    } else if (kind == 'u') {
        uint32_t small = (uint32_t)number;
        memcpy(at, &small, sizeof small);
    } else {
        if (number < 0 || (uint64_t)number > rest->len)
            return false;
        struct slice text = arena_copy(arena, slice_first(*rest, (size_t)number));
        memcpy(at, &text, sizeof text);
        *rest = slice_after(*rest, (size_t)number);
    }
    return true;
}

static bool row_take(struct slice *rest, struct arena *arena, void *rows[FORM_COUNT])
{
    size_t i = 0;
    while (i < FORM_COUNT && rest->len > 0 && forms[i].letter != rest->ptr[0])
        i++;
    if (i == FORM_COUNT || rest->len == 0)
        return false;
    char *row = rows[i] = arena_zalloc(arena, forms[i].row_bytes);
    *rest = slice_after(*rest, 1);
    for (size_t c = 0; c < forms[i].column_count; c++)
        if (!column_take(rest, arena, row + forms[i].columns[c].offset, forms[i].columns[c].kind))
            return false;
    return true;
}

struct deed *deed_text_read(struct slice *rest, struct arena *arena)
{
    void *rows[FORM_COUNT] = { NULL };
    while (!slice_has_prefix(*rest, SLICE(".")))
        if (!row_take(rest, arena, rows))
            return NULL;
    *rest = slice_after(*rest, 1);
    return rows[0] != NULL ? deed_of(rows, arena) : NULL;
}
