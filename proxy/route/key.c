/* route/key.c - the value that a key (cookie, header, query argument, source) stands for in a request.
 *
 * Empty and absurdly long values count as absent: an empty one would put all its senders on one side of a split, and a
 * long one is hashed for every request of a peer that has nothing to lose. */
#include "route/condition.h"

static bool find_value(const struct key_config *key, const struct route_request *request, struct slice *out)
{
    const struct field *field;
    switch (key->kind) {
    case KEY_COOKIE:
        return message_cookie(request->message, key->name, out);
    case KEY_HEADER:
        field = message_field_named(request->message, key->name, NULL);
        if (field != NULL)
            *out = field->value;
        return field != NULL;
    case KEY_QUERY:
        return request->query.ptr != NULL && query_argument(request->query, key->name, out);
    case KEY_SOURCE_IP:
    case KEY_NONE:
        break;
    }
    return false;
}

bool key_extract(const struct key_config *key, const struct route_request *request, char scratch[16], struct slice *out)
{
    if (key->kind == KEY_SOURCE_IP) {
        memcpy(scratch, request->source.bytes, sizeof request->source.bytes);
        *out = slice_from(scratch, sizeof request->source.bytes);
        return true;
    }
    return find_value(key, request, out) && out->len > 0 && out->len <= KEY_MAX_BYTES;
}
