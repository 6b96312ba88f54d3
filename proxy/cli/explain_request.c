/* cli/explain_request.c - builds the request that `weir explain` is asked about, by way of the server's own parser.
 *
 *   URL, -X, -H  --write_head-->  the bytes of a head  --h1_read-->  message  --normalise-->  route_request
 *
 * The detour over bytes is the point: what the server would refuse (two Hosts, a space in the target, %00) is refused here by the same
 * code and with the same words, and no second reading of a request can differ from the first. So nothing here decodes or
 * checks anything but the form of the command line. */
#include "cli/explain.h"

#include "http/codec.h"
#include "http/validate.h"

#define DEFAULT_HOST "localhost"

/* Wider than any server's: what is too long for one configuration may be asked about all the same. */
static const struct h1_limits limits = { .request_line_bytes = 64 * 1024,
                                         .head_bytes = 1024 * 1024,
                                         .field_count = 1000 };

/* A URL in its parts; authority empty when only a path was given. */
struct url {
    struct slice authority, target;
    uint16_t port;
};

/* ---- the words of the command line ------------------------------------------------------------------------------------ */

static bool take_scheme(struct slice *rest, uint16_t *port)
{
    static const struct {
        struct slice prefix;
        uint16_t port;
    } schemes[] = { { { "http://", 7 }, 80 }, { { "https://", 8 }, 443 } };
    for (size_t i = 0; i < ARRAY_COUNT(schemes); i++) {
        if (slice_equal_nocase(slice_first(*rest, schemes[i].prefix.len), schemes[i].prefix)) {
            *rest = slice_after(*rest, schemes[i].prefix.len);
            *port = schemes[i].port;
            return true;
        }
    }
    return false;
}

/* The port behind the last colon, unless that colon stands inside an IPv6 literal: such a one ends in "]", which is no digit. */
static void read_port(struct slice authority, uint16_t *port)
{
    size_t at = authority.len;
    while (at > 0 && authority.ptr[at - 1] >= '0' && authority.ptr[at - 1] <= '9')
        at--;
    uint64_t number;
    if (at > 0 && authority.ptr[at - 1] == ':' && slice_to_u64(slice_after(authority, at), &number) &&
        number <= UINT16_MAX)
        *port = (uint16_t)number;
}

/* Neither decoded nor checked: the parser of requests does that. A fragment is never sent, and an empty path is sent as "/" (RFC 9112
   3.2.1). */
static bool url_parse(const char *text, struct arena *arena, struct url *out, struct text *error)
{
    struct slice rest = slice_from_cstr(text);
    *out = (struct url){ 0 };
    if (rest.len > 0 && rest.ptr[0] == '/') {
        out->target = rest;
        return true;
    }
    if (!take_scheme(&rest, &out->port)) {
        text_printf(error, "\"%s\" is no URL: it begins with neither http://, https:// nor /", text);
        return false;
    }
    rest = slice_first(rest, slice_find(rest, '#'));
    size_t end = 0;
    while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?')
        end++;
    out->authority = slice_first(rest, end);
    out->target = slice_after(rest, end);
    if (out->target.len == 0 || out->target.ptr[0] == '?')
        out->target = arena_printf(arena, "/%.*s", SLICE_ARG(out->target));
    read_port(out->authority, &out->port);
    return true;
}

static bool is_host_header(struct slice header)
{
    return slice_equal_nocase(slice_first(header, slice_find(header, ':')), SLICE("host"));
}

/* The head as a client would send it; a Host given by -H stands in for the URL's. */
static bool write_head(const struct explain_values *values, const struct url *url, struct text *head,
                       struct text *error)
{
    bool has_host = false;
    for (size_t i = 0; i < values->headers.count; i++) {
        struct slice header = slice_from_cstr(values->headers.items[i]);
        has_host |= is_host_header(header);
        if (slice_find(header, ':') == header.len) {
            text_printf(error, "-H: \"%.*s\" has no colon: 'name: value'", SLICE_ARG(header));
            return false;
        }
    }
    text_printf(head, "%s %.*s HTTP/1.1\r\n", values->method ? values->method : "GET", SLICE_ARG(url->target));
    struct slice host = url->authority.len > 0 ? url->authority : SLICE(DEFAULT_HOST);
    if (!has_host)
        text_printf(head, "Host: %.*s\r\n", SLICE_ARG(host));
    for (size_t i = 0; i < values->headers.count; i++)
        text_printf(head, "%s\r\n", values->headers.items[i]);
    text_add_cstr(head, "\r\n");
    return true;
}

/* ---- the message ------------------------------------------------------------------------------------------------------ */

static void refuse(struct text *error, enum reason reason, const char *detail)
{
    const struct reason_row *row = &reason_rows[reason];
    text_printf(error, "%u %s: %s", row->status, row->code, detail ? detail : row->sentence);
}

/* The message borrows from the copy in the arena: the head's own text is gone when explain_read returns. */
static bool read_head(struct slice head, struct arena *arena, struct message *message, struct text *error)
{
    struct h1_reader reader;
    h1_reader_init_request(&reader, &limits);
    struct slice input = arena_copy(arena, head);
    enum h1_event event = h1_read(&reader, &input, arena, message);
    if (event == H1_ERROR)
        refuse(error, reader.reason, reader.error_detail);
    else if (event != H1_HEAD)
        refuse(error, REASON_MALFORMED, "the head is not complete");
    return event == H1_HEAD;
}

static bool normalise(struct explain_request *request, struct arena *arena, struct text *error)
{
    struct route_request *routed = &request->routed;
    const struct message *message = &request->message;
    bool is_star = slice_equal(message->path, SLICE("*")); /* OPTIONS * */
    routed->message = message;
    routed->query = message->query;
    routed->path = message->path;
    if (!is_star && path_normalise(message->path, arena, &routed->path, &request->has_encoded_slash) != PATH_OK) {
        refuse(error, REASON_BAD_PATH, NULL);
        return false;
    }
    routed->host = host_normalise(message->authority, arena_alloc(arena, message->authority.len + 1));
    return true;
}

/* As the server knows it once it has verified the certificate (front/request.c). */
static void read_certificate(const struct explain_values *values, struct arena *arena, struct route_request *routed)
{
    size_t count = values->client_sans.count;
    struct slice *sans = arena_zalloc_array(arena, count, sizeof *sans);
    for (size_t i = 0; i < count; i++)
        sans[i] = slice_from_cstr(values->client_sans.items[i]);
    routed->client_cn = slice_from_cstr(values->client_cn);
    routed->client_sans = sans;
    routed->client_san_count = count;
}

static bool read_circumstances(const struct explain_values *values, struct route_request *routed, struct text *error)
{
    const char *from = values->from != NULL ? values->from : "127.0.0.1";
    if (!ip_parse(slice_from_cstr(from), &routed->source)) {
        text_printf(error, "--from: \"%s\" is no IP address", from);
        return false;
    }
    routed->now = clock_wall();
    if (values->at != NULL && !wall_parse(values->at, strlen(values->at), &routed->now)) {
        text_printf(error, "--at: \"%s\" is no time such as 2026-12-20T09:30:00Z", values->at);
        return false;
    }
    return true;
}

enum explain_result explain_read(const struct explain_values *values, const char *url_text, struct arena *arena,
                                 struct explain_request *out, struct text *error)
{
    struct url url;
    struct text head = { 0 };
    enum explain_result result = EXPLAIN_MISUSED;
    *out = (struct explain_request){ 0 };
    read_certificate(values, arena, &out->routed);
    if (read_circumstances(values, &out->routed, error) && url_parse(url_text, arena, &url, error) &&
        write_head(values, &url, &head, error)) {
        bool is_good = read_head(text_slice(&head), arena, &out->message, error) && normalise(out, arena, error);
        result = is_good ? EXPLAIN_OK : EXPLAIN_REFUSED;
        out->port = url.port;
    }
    text_fini(&head);
    return result;
}
