/* front/edits.h - header edits of a route, the same way for requests and responses. */
#ifndef FRONT_EDITS_H
#define FRONT_EDITS_H

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
