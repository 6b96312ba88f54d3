/* shadow/noise.c - which fields of an answer really differ, learnt from a control: the statistics. */
#include "shadow/noise.h"

#include "base/check.h"
#include "base/memory.h"
#include "stats/eprocess.h"

#include <math.h>
#include <string.h>

const char *const verdict_names[VERDICT_COUNT] = {
    [VERDICT_SAME] = "same",
    [VERDICT_DIFFERENT] = "different",
    [VERDICT_NOISE] = "noise",
};

/* ---- the e-process --------------------------------------------------------------------------------------------------- */

/* Two counts are the whole state, since the share never changes: with equal shares the order of tosses does not
   matter. */
double noise_log_evidence(uint64_t heads, uint64_t tails)
{
    struct eprocess_ratio e;
    eprocess_ratio_init(&e, NOISE_MARGIN, EPROCESS_MORE, 0);
    eprocess_ratio_add(&e, 0.5, heads, tails);
    return e.log_e;
}

double noise_log_bound(const struct noise_field *f)
{
    double rank = f->rank;
    return log(rank * (rank + 1) / NOISE_ALPHA);
}

/* ---- fields ---------------------------------------------------------------------------------------------------------- */

void noise_init(struct noise *n, bool has_control)
{
    memset(n, 0, sizeof *n);
    n->has_control = has_control;
    map_init(&n->ids);
    n->fields[NOISE_OTHERS].name = memory_strdup("");
    n->field_count = 1;
}

void noise_fini(struct noise *n)
{
    map_fini(&n->ids);
    for (uint32_t i = 0; i < n->field_count; i++)
        memory_free(n->fields[i].name);
    n->field_count = 0;
}

/* Names hold keys of JSON that an upstream chose; however they fall together, a look-up meets at most NOISE_FIELDS_MAX. */
uint32_t noise_field_id(struct noise *n, struct slice name)
{
    struct noise_field *known = map_get(&n->ids, name);
    if (known != NULL)
        return (uint32_t)(known - n->fields);
    if (n->field_count > NOISE_FIELDS_MAX || name.len == 0)
        return NOISE_OTHERS;
    struct noise_field *f = &n->fields[n->field_count];
    f->name = memory_alloc(name.len + 1);
    memcpy(f->name, name.ptr, name.len);
    f->name[name.len] = '\0';
    map_put(&n->ids, slice_from(f->name, name.len), f);
    return n->field_count++;
}

/* ---- pairs ------------------------------------------------------------------------------------------------------------- */

/* All that show up for the first time in one pair share the last one's rank. */
static void rank_new_fields(struct noise *n, const struct noise_mark *marks, uint32_t mark_count)
{
    uint32_t fresh = 0;
    for (uint32_t i = 0; i < mark_count; i++)
        fresh += n->fields[marks[i].field].rank == 0;
    n->marked_count += fresh;
    for (uint32_t i = 0; fresh > 0 && i < mark_count; i++)
        if (n->fields[marks[i].field].rank == 0)
            n->fields[marks[i].field].rank = n->marked_count;
}

static bool is_excess_worth_it(const struct noise *n, const struct noise_field *f)
{
    return (double)f->shadow_only - (double)f->control_only >= NOISE_EXCESS * (double)n->checked_count;
}

static void field_toss(const struct noise *n, struct noise_field *f, const struct noise_mark *mark)
{
    f->both += mark->is_shadow_different && mark->is_control_different;
    if (mark->is_shadow_different == mark->is_control_different)
        return;
    f->shadow_only += mark->is_shadow_different;
    f->control_only += mark->is_control_different;
    f->log_evidence = noise_log_evidence(f->shadow_only, f->control_only);
    f->log_evidence_most = fmax(f->log_evidence_most, f->log_evidence);
    f->is_different |= f->log_evidence >= noise_log_bound(f) && is_excess_worth_it(n, f);
}

static void field_mark(const struct noise *n, struct noise_field *f, const struct noise_mark *mark)
{
    if (mark->is_shadow_different)
        f->last_pair = n->pair_count;
    if (mark->is_checked)
        field_toss(n, f, mark);
    else
        f->unchecked += mark->is_shadow_different;
}

static enum verdict mark_verdict(const struct noise *n, const struct noise_mark *mark)
{
    if (!mark->is_shadow_different)
        return VERDICT_SAME;
    bool is_different = noise_field_verdict(n, &n->fields[mark->field]) == VERDICT_DIFFERENT;
    return is_different && !mark->is_control_different ? VERDICT_DIFFERENT : VERDICT_NOISE;
}

enum verdict noise_add_pair(struct noise *n, bool is_checked, const struct noise_mark *marks, uint32_t mark_count)
{
    enum verdict verdict = VERDICT_SAME;
    n->pair_count++;
    n->checked_count += is_checked;
    rank_new_fields(n, marks, mark_count);
    for (uint32_t i = 0; i < mark_count; i++) {
        CHECK(marks[i].field < n->field_count);
        field_mark(n, &n->fields[marks[i].field], &marks[i]);
        enum verdict of_mark = mark_verdict(n, &marks[i]);
        if (of_mark == VERDICT_DIFFERENT || verdict == VERDICT_SAME)
            verdict = of_mark;
    }
    n->verdicts[verdict]++;
    return verdict;
}

/* ---- verdicts ---------------------------------------------------------------------------------------------------------- */

enum verdict noise_field_verdict(const struct noise *n, const struct noise_field *f)
{
    if (f->last_pair == 0)
        return VERDICT_SAME;
    if (!n->has_control || f->is_different)
        return VERDICT_DIFFERENT;
    return VERDICT_NOISE;
}

bool noise_field_is_settled(const struct noise *n, const struct noise_field *f)
{
    return noise_field_verdict(n, f) != VERDICT_NOISE || f->both + f->control_only > 0;
}

enum verdict noise_verdict(const struct noise *n)
{
    enum verdict verdict = VERDICT_SAME;
    for (uint32_t i = 0; i < n->field_count; i++) {
        enum verdict of_field = noise_field_verdict(n, &n->fields[i]);
        if (of_field == VERDICT_DIFFERENT || verdict == VERDICT_SAME)
            verdict = of_field;
    }
    return verdict;
}
