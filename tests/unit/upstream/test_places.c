/* tests/unit/upstream/test_places.c - exactly as many wait as may, whoever asks at the same time. */
#include "upstream/places.h"

#include <criterion/criterion.h>
#include <pthread.h>

#define ROUNDS 20000
#define MOST   3
#define ID     7

Test(places, as_many_as_there_are_and_no_more)
{
    struct places *p = places_create();
    cr_assert(!places_take(p, ID, 0));
    cr_assert(places_take(p, ID, 2));
    cr_assert(places_take(p, ID, 2));
    cr_assert(!places_take(p, ID, 2));
    cr_assert(places_take(p, ID + 1, 1), "another upstream's places are others");
    places_give(p, ID);
    cr_assert(places_take(p, ID, 2));
    cr_assert(!places_take(p, ID, 1), "a reload lowered the limit");
    places_destroy(p);
}

struct crowd {
    struct places *places;
    _Atomic int inside, most_inside, refused;
};

static void *come_and_go(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (!places_take(c->places, ID, MOST)) {
            c->refused++;
            continue;
        }
        int inside = ++c->inside;
        if (inside > c->most_inside)
            c->most_inside = inside;
        c->inside--;
        places_give(c->places, ID);
    }
    return NULL;
}

/* As many threads as places: nobody may be refused, not even for a moment. */
Test(places, threads_never_refuse_each_other_wrongly)
{
    struct crowd c = { .places = places_create() };
    pthread_t threads[MOST];
    for (int i = 0; i < MOST; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, &c), 0);
    for (int i = 0; i < MOST; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(c.refused, 0);
    cr_assert_leq(c.most_inside, MOST);
    for (int i = 0; i < MOST; i++)
        cr_assert(places_take(c.places, ID, MOST), "all were given back");
    cr_assert(!places_take(c.places, ID, MOST));
    places_destroy(c.places);
}
