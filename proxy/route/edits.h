/* route/edits.h - header edits of a route, the same way for requests, responses and copies.
 *
 * Pure. Names and values were held against what may be edited when the configuration was loaded (config/formats.c), so
 * no edit can touch framing or break a head. */
#ifndef ROUTE_EDITS_H
#define ROUTE_EDITS_H

#include "config/model.h"
#include "http/message.h"

/* Removals first, then settings: a name that is in both ends up set. */
static inline void edits_apply(struct message *m, struct arena *arena, const struct header_edits_config *edits)
{
    for (size_t i = 0; i < edits->remove.count; i++)
        message_drop_named(m, edits->remove.items[i]);
    for (size_t i = 0; i < edits->set_count; i++)
        message_set(m, arena, edits->set[i].name, edits->set[i].value);
}

#endif
