/* server/evidence_feed.c - brings what the workers count to the evidence of one rollout. */
#include "server/evidence_feed.h"

#include "base/memory.h"

/* Cells of a request may be seen one after the other: a sheet goes when two looks in a row found it settled. */
#define SETTLED_LOOKS 2

struct fed_sheet {
    struct list link;
    struct tally_sheet *sheet;
    struct tally_counts taken; /* that the evidence has */
    bool is_retired;
    unsigned settled_looks; /* in a row, since it was retired */
};

void feed_init(struct evidence_feed *f, struct evidence *evidence, bool is_sticky, uint32_t worker_count)
{
    *f = (struct evidence_feed){ .evidence = evidence, .is_sticky = is_sticky, .worker_count = worker_count };
    list_init(&f->link);
    list_init(&f->sheets);
    if (is_sticky)
        f->lanes = tally_lanes_create(worker_count);
}

static void fed_sheet_destroy(struct fed_sheet *fed)
{
    list_remove(&fed->link);
    sheet_destroy(fed->sheet);
    memory_free(fed);
}

void feed_fini(struct evidence_feed *f)
{
    LIST_FOREACH_SAFE (link, &f->sheets)
        fed_sheet_destroy(LIST_ITEM(link, struct fed_sheet, link));
    tally_lanes_destroy(f->lanes, f->worker_count);
}

struct tally_sheet *feed_publish(struct evidence_feed *f, uint64_t generation, double share)
{
    struct fed_sheet *fed = memory_zalloc(sizeof *fed);
    fed->sheet = sheet_create(generation, f->worker_count);
    fed->sheet->lanes = f->lanes;
    list_init(&fed->link);
    list_append(&f->sheets, &fed->link);
    evidence_begin_generation(f->evidence, generation, share);
    evidence_rules(f->evidence, &fed->sheet->rules);
    return fed->sheet;
}

void feed_retire(struct evidence_feed *f, uint64_t generation)
{
    LIST_FOREACH_SAFE (link, &f->sheets) {
        struct fed_sheet *fed = LIST_ITEM(link, struct fed_sheet, link);
        if (fed->sheet->generation == generation)
            fed->is_retired = true;
    }
}

static void collect_sheet(struct evidence_feed *f, struct fed_sheet *fed, struct mono_time now)
{
    struct tally_counts totals, added;
    sheet_sum(fed->sheet, &totals);
    tally_since(&added, &totals, &fed->taken);
    if (f->evidence != NULL)
        evidence_add_counts(f->evidence, fed->sheet->generation, &added, now);
    fed->settled_looks = fed->is_retired && sheet_is_settled(&totals) ? fed->settled_looks + 1 : 0;
}

static void collect_lane(struct evidence_feed *f, struct tally_lane *lane)
{
    struct tally_first first;
    for (unsigned left = TALLY_RING_COUNT; left > 0 && tally_ring_take(&lane->ring, &first); left--)
        if (f->evidence != NULL)
            evidence_add_first(f->evidence, &first);
}

void feed_collect(struct evidence_feed *f, struct mono_time now)
{
    for (uint32_t i = 0; f->lanes != NULL && i < f->worker_count; i++)
        collect_lane(f, &f->lanes[i]);
    LIST_FOREACH_SAFE (link, &f->sheets) {
        struct fed_sheet *fed = LIST_ITEM(link, struct fed_sheet, link);
        collect_sheet(f, fed, now);
        if (fed->settled_looks >= SETTLED_LOOKS)
            fed_sheet_destroy(fed);
    }
}

bool feed_is_over(const struct evidence_feed *f)
{
    return list_is_empty(&f->sheets);
}
