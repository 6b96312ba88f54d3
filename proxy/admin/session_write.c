/* admin/session_write.c - a reply as bytes. */
#include "admin/session_write.h"

#include "admin/session.h"

#include <sys/socket.h>

static void add(struct message *m, struct arena *arena, const char *name, struct slice value)
{
    struct slice n = slice_from_cstr(name);
    message_add(m, arena, field_id_from_name(n), n, value);
}

static void fields_add(struct message *m, struct arena *arena, const struct admin_reply *reply)
{
    if (reply->body.len > 0)
        add(m, arena, "Content-Type", slice_from_cstr(reply->content_type));
    add(m, arena, "Cache-Control", SLICE("no-store"));
    add(m, arena, "X-Content-Type-Options", SLICE("nosniff"));
    if (reply->allow != NULL)
        add(m, arena, "Allow", slice_from_cstr(reply->allow));
    if (reply->wants_authentication)
        add(m, arena, "WWW-Authenticate", SLICE("Bearer realm=\"weir\""));
}

static void head_prepare(struct session *s, struct message *m, struct h1_write *w)
{
    const struct admin_reply *reply = &s->reply;
    message_init(m, &s->arena, 8);
    m->is_response = true;
    m->version_minor = 1;
    m->status = reply->status;
    m->method = s->request.method;
    fields_add(m, &s->arena, reply);
    bool is_head = s->has_head && s->request.method == METHOD_HEAD;
    enum body_framing framing = reply->is_followed ? BODY_UNTIL_CLOSE : BODY_LENGTH;
    *w = (struct h1_write){
        .framing = is_head ? BODY_NONE : framing,
        .content_length = reply->body.len,
        .has_content_length = !reply->is_followed,
        .is_close = s->is_last,
        .is_keep_alive_1_0 = s->has_head && s->request.version_minor == 0 && !s->is_last,
    };
}

static void head_write(struct session *s)
{
    struct message m;
    struct h1_write w;
    head_prepare(s, &m, &w);
    uint32_t capacity = (uint32_t)h1_head_bytes(&m) + 256;
    size_t length = h1_write_response(&m, &w, stream_reserve(&s->stream, capacity), capacity);
    CHECK(length > 0);
    stream_commit(&s->stream, (uint32_t)length);
}

void session_write_reply(struct session *s)
{
    head_write(s);
    struct slice body = text_slice(&s->reply.body);
    if (body.len == 0 || (s->has_head && s->request.method == METHOD_HEAD))
        return;
    CHECK(body.len <= UINT32_MAX / 2); /* our own documents, bounded by the configuration */
    struct chunk *c = chunk_create_sized(&s->admin->loop->chunks, (uint32_t)body.len);
    memcpy(c->bytes, body.ptr, body.len);
    c->used = (uint32_t)body.len;
    stream_push(&s->stream, c, 0, c->used);
    chunk_unref(c);
}

void session_write_unsealed(struct session *s)
{
    struct message m;
    struct h1_write w;
    char text[1024];
    head_prepare(s, &m, &w);
    size_t length = h1_write_response(&m, &w, text, sizeof text);
    struct slice body = text_slice(&s->reply.body);
    CHECK(length > 0 && body.len <= sizeof text - length); /* a sentence of ours */
    memcpy(text + length, body.ptr, body.len);
    ssize_t sent = send(s->stream.fd, text, length + body.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
    shutdown(s->stream.fd, SHUT_WR);
}

void session_write_continue(struct session *s)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    stream_push_copy(&s->stream, line, sizeof line - 1);
    if (stream_flush(&s->stream) != STREAM_OK)
        s->is_last = true; /* the next read tells */
}
