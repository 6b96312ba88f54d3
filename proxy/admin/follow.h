/* admin/follow.h - who follows GET /api/v1/events: sessions that stay open and get each event as it happens. For admin/ only.
 *
 * Server-sent events (HTML Living Standard, 9.2): "id", "event" and "data" lines, the data a JSON object on one line. A comment
 * every FOLLOW_BEAT_MS shows both sides that the connection lives. A reader who is behind by FOLLOW_QUEUE_BYTES is cut off: it
 * comes back with the id it saw last and misses nothing that is stored. */
#ifndef ADMIN_FOLLOW_H
#define ADMIN_FOLLOW_H

#include "admin/call.h"
#include "admin/parts.h"

#define FOLLOW_BEAT_MS     15000
#define FOLLOW_QUEUE_BYTES (256u * 1024)
#define FOLLOWERS_MAX      32 /* of both sockets; further ones get a 503 */

struct session;

/* An event as API object, and as lines of the stream. */
void put_event(struct json *object, const struct event_row *event);
/* Members that are stored in the detail, which can have none of its own with such a name. */
bool is_event_member(struct slice key);
void follow_write(struct text *out, const struct event_row *event);

/* The session's head and first events are queued: from now on it gets what happens. */
void follow_begin(struct session *s);
/* Its deadline in this state. */
void follow_beat(struct session *s);
/* Something arrived from the reader, who has nothing to say: dropped; the end of its side ends the session. */
void follow_on_readable(struct session *s);

#endif
