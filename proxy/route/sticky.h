/* route/sticky.h - sticky splits: the same key, the same upstream, on every worker, restart and host.
 *
 * Nothing is stored: a user's upstream follows from the key, the route's name and the upstreams' names and weights. So
 * it survives restarts, is the same on every host, and changes for exactly those users whom a changed weight concerns.
 * Renaming a route or an upstream moves users; the order of entries, and adding one, moves nobody between the others.
 *
 * Constants and functions here never change: users would change sides at an upgrade. Golden values in the test hold
 * them. */
#ifndef ROUTE_STICKY_H
#define ROUTE_STICKY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/slice.h"

/* Two members of a split whose shares a rollout moves between them: one group of constant weight in the rendezvous. */
struct sticky_pair {
    uint32_t stable, canary; /* entry indexes; both UINT32_MAX: no pair */
    uint32_t canary_ppm;     /* of the pair */
};

/* Weighted rendezvous among groups (score -w / ln u, the greatest wins), then inside the pair: canary when hash <
   share. salt: the route's name as a hash; entry names (not indexes) are hashed, so that order and additions move
   nobody else. Pure and stable for ever: golden values in its test. weights 0 never win; sum > 0. */
uint32_t sticky_pick(uint64_t salt, struct slice key, const uint64_t *entry_hashes, const uint32_t *weights,
                     uint32_t entry_count, const struct sticky_pair *pair);

/* Where a key stands in a pair: in its canary's part when ppm is below the canary's share. `user` is a hash of route and key. */
struct sticky_place {
    uint64_t user;
    uint32_t ppm;
};
struct sticky_place sticky_place(uint64_t salt, struct slice key, uint64_t stable_hash, uint64_t canary_hash);

/* The salt of a route and the hash of an upstream's name, stable for ever. */
uint64_t sticky_salt(struct slice route_name);
uint64_t sticky_entry_hash(struct slice upstream_name);
/* Position of a key in [0, 1), independent of splits: what `weir.hash` answers. */
double sticky_unit(uint64_t salt, struct slice key);
/* Whether that position lies below a share, compared in integers: `sample: 5% by: KEY`. */
bool sticky_is_within(uint64_t salt, struct slice key, uint32_t share_ppm);

#endif
