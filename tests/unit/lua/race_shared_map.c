/* tests/unit/lua/race_shared_map.c - workers count, set and read the same keys at the same time; a program of its own.
 *
 * Criterion cannot map its memory under ThreadSanitizer, whose silence is half of this test: so no Criterion. Exits 0, or
 * aborts with the check that failed. */
#include "base/check.h"
#include "lua/shared_map.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { THREAD_COUNT = 4, ROUND_COUNT = 20000, COUNTER_COUNT = 8, TEXT_COUNT = 600 };

static struct shared_map *map;

static struct slice name(char buffer[32], const char *kind, int number)
{
    return slice_from(buffer, (size_t)snprintf(buffer, 32, "%s %d", kind, number));
}

/* A text is of one letter throughout, so that one half written is seen. */
static void check_text(struct slice key, struct mono_time now)
{
    char buffer[SHARED_VALUE_MAX_BYTES];
    struct shared_value value;
    if (!shared_map_get(map, key, now, buffer, &value))
        return;
    CHECK(value.type == SHARED_TEXT && value.text.len > 0);
    for (size_t i = 1; i < value.text.len; i++)
        CHECK(value.text.ptr[i] == value.text.ptr[0]);
}

static void write_text(struct slice key, int number, struct mono_time now)
{
    char text[4096];
    memset(text, 'a' + number % 26, sizeof text);
    struct shared_value value = { .type = SHARED_TEXT,
                                  .text = slice_from(text, 1 + (size_t)(number * 37) % sizeof text) };
    shared_map_put(map, key, &value, number % 3 == 0 ? 50 : 0, SHARED_SET, now);
}

static void *work(void *arg)
{
    int seed = *(int *)arg;
    const struct shared_value one = { .type = SHARED_INTEGER, .integer = 1 };
    for (int i = 0; i < ROUND_COUNT; i++) {
        char buffer[32];
        struct shared_value sum;
        struct mono_time now = { 1000 + i };
        int number = (i * 31 + seed) % TEXT_COUNT;
        CHECK(shared_map_increase(map, name(buffer, "counter", i % COUNTER_COUNT), &one, 0, now, &sum));
        struct slice key = name(buffer, "text", number);
        if (i % 2 == 0)
            write_text(key, i + seed, now);
        else
            check_text(key, now);
        if (i % 101 == 0)
            shared_map_delete(map, key, now);
        if (i % 1009 == 0)
            (void)shared_map_stats(map);
    }
    return NULL;
}

/* What all have counted is there: no increase was lost, and no counter went for a text. */
static void check_counters(void)
{
    for (int i = 0; i < COUNTER_COUNT; i++) {
        char buffer[32], text[SHARED_VALUE_MAX_BYTES];
        struct shared_value value;
        CHECK(shared_map_get(map, name(buffer, "counter", i), (struct mono_time){ 0 }, text, &value));
        CHECK(value.integer == THREAD_COUNT * ROUND_COUNT / COUNTER_COUNT);
    }
}

int main(void)
{
    pthread_t threads[THREAD_COUNT];
    int seeds[THREAD_COUNT];
    map = shared_map_create(2u << 20);
    for (int i = 0; i < THREAD_COUNT; i++) {
        seeds[i] = i * 7;
        CHECK(pthread_create(&threads[i], NULL, work, &seeds[i]) == 0);
    }
    for (int i = 0; i < THREAD_COUNT; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    check_counters();
    CHECK(shared_map_stats(map).used_bytes <= 2u << 20);
    shared_map_destroy(map);
    return 0;
}
