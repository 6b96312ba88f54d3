/* stats/sheet.c - a rollout in one set of weights, as the workers see it. */
#include "stats/sheet.h"

#include "base/memory.h"

struct tally_lane *tally_lanes_create(uint32_t worker_count)
{
    struct tally_lane *lanes = memory_zalloc_aligned(worker_count * sizeof(struct tally_lane), STATS_CACHE_LINE_BYTES);
    for (uint32_t i = 0; i < worker_count; i++)
        seen_init(&lanes[i].mailed, TALLY_SEEN_BITS);
    return lanes;
}

void tally_lanes_destroy(struct tally_lane *lanes, uint32_t worker_count)
{
    if (lanes == NULL)
        return;
    for (uint32_t i = 0; i < worker_count; i++)
        seen_fini(&lanes[i].mailed);
    memory_free(lanes);
}

struct tally_sheet *sheet_create(uint64_t generation, uint32_t worker_count)
{
    struct tally_sheet *sheet = memory_zalloc(sizeof *sheet);
    sheet->generation = generation;
    sheet->worker_count = worker_count;
    sheet->tallies = memory_zalloc_aligned(worker_count * sizeof(struct tally), STATS_CACHE_LINE_BYTES);
    return sheet;
}

void sheet_destroy(struct tally_sheet *sheet)
{
    for (uint32_t i = 0; i < sheet->event_count; i++)
        memory_free(sheet->events[i]);
    memory_free(sheet->rollout);
    memory_free(sheet->tallies);
    memory_free(sheet);
}

void sheet_add_event(struct tally_sheet *sheet, struct slice event)
{
    CHECK(sheet->event_count < TALLY_EVENT_COUNT);
    sheet->events[sheet->event_count++] = memory_copy_text(event.ptr, event.len);
}

void sheet_set_mark(struct tally_sheet *sheet, struct slice rollout, uint64_t tag, uint32_t share_ppm)
{
    CHECK(sheet->rollout == NULL);
    sheet->rollout = memory_copy_text(rollout.ptr, rollout.len);
    sheet->tag = tag;
    sheet->share_ppm = share_ppm;
}

uint32_t sheet_event_column(const struct tally_sheet *sheet, struct slice event)
{
    for (uint32_t i = 0; i < sheet->event_count; i++)
        if (slice_equal(slice_from_cstr(sheet->events[i]), event))
            return 1u << (TALLY_EVENTS + i);
    return 0;
}

/* ---- on the worker ----------------------------------------------------------------------------------------------------- */

static bool ring_is_full(const struct tally_ring *ring)
{
    uint32_t put = atomic_load_explicit(&ring->put_count, memory_order_relaxed);
    return put - atomic_load_explicit(&ring->take_count, memory_order_acquire) == TALLY_RING_COUNT;
}

static void ring_put(struct tally_ring *ring, const struct tally_first *first)
{
    uint32_t put = atomic_load_explicit(&ring->put_count, memory_order_relaxed);
    ring->items[put % TALLY_RING_COUNT] = *first;
    atomic_store_explicit(&ring->put_count, put + 1, memory_order_release);
}

/* A higher share begins a new cohort of users, who have all to be met anew. False: the request is one of an older cohort. */
static bool enter_cohort(struct tally_lane *lane, const struct tally_sheet *sheet)
{
    bool is_same = lane->fresh_from_ppm == sheet->rules.fresh_from_ppm;
    if (sheet->generation < lane->generation)
        return is_same;
    lane->generation = sheet->generation;
    if (is_same)
        return true;
    lane->fresh_from_ppm = sheet->rules.fresh_from_ppm;
    seen_clear(&lane->mailed);
    return true;
}

/* What cannot be mailed is not remembered as mailed either: the user's next request may be. */
void sheet_note_user(struct tally_sheet *sheet, uint32_t worker_index, enum tally_arm arm, uint64_t user,
                     uint32_t pair_ppm, uint32_t columns)
{
    if (pair_ppm < sheet->rules.fresh_from_ppm)
        return;
    struct tally_lane *lane = &sheet->lanes[worker_index];
    if (!enter_cohort(lane, sheet) || ring_is_full(&lane->ring)) {
        stats_cell_add(&sheet->tallies[worker_index].unmailed, 1);
        return;
    }
    if (!tally_is_first(&lane->mailed, user, columns))
        return;
    const struct tally_first first = {
        .generation = sheet->generation, .key_hash = user, .columns = columns, .arm = arm
    };
    ring_put(&lane->ring, &first);
}

/* ---- on the main thread ------------------------------------------------------------------------------------------------ */

void sheet_sum(const struct tally_sheet *sheet, struct tally_counts *out)
{
    *out = (struct tally_counts){ 0 };
    for (uint32_t i = 0; i < sheet->worker_count; i++)
        tally_sum(out, &sheet->tallies[i]);
}

bool sheet_is_settled(const struct tally_counts *totals)
{
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++)
        if (totals->begun[arm] != totals->requests[arm] + totals->discarded[arm])
            return false;
    return true;
}

bool tally_ring_take(struct tally_ring *ring, struct tally_first *out)
{
    uint32_t taken = atomic_load_explicit(&ring->take_count, memory_order_relaxed);
    if (taken == atomic_load_explicit(&ring->put_count, memory_order_acquire))
        return false;
    *out = ring->items[taken % TALLY_RING_COUNT];
    atomic_store_explicit(&ring->take_count, taken + 1, memory_order_release);
    return true;
}
