/* base/text.c - growing byte strings and JSON escaping. */
#include "base/text.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>

#define CAPACITY_MIN 256u

void text_init(struct text *t)
{
    *t = (struct text){ 0 };
}

void text_fini(struct text *t)
{
    memory_free(t->bytes);
    text_init(t);
}

void text_clear(struct text *t)
{
    t->len = 0;
    if (t->bytes != NULL)
        t->bytes[0] = '\0';
}

/* Room for `more` bytes and the NUL. */
static void text_reserve(struct text *t, size_t more)
{
    size_t needed;
    CHECK(!__builtin_add_overflow(t->len + 1, more, &needed));
    if (needed <= t->capacity)
        return;
    size_t capacity = t->capacity ? t->capacity : CAPACITY_MIN;
    while (capacity < needed)
        CHECK(!__builtin_mul_overflow(capacity, 2u, &capacity));
    t->bytes = memory_resize(t->bytes, capacity);
    t->capacity = capacity;
}

void text_add(struct text *t, struct slice s)
{
    text_reserve(t, s.len);
    if (s.len != 0)
        memcpy(t->bytes + t->len, s.ptr, s.len);
    t->len += s.len;
    t->bytes[t->len] = '\0';
}

void text_add_cstr(struct text *t, const char *s)
{
    text_add(t, slice_from_cstr(s));
}

void text_add_char(struct text *t, char c)
{
    text_add(t, slice_from(&c, 1));
}

/* Bytes 10xxxxxx continue a character. */
void text_cut(struct text *t, size_t len)
{
    if (t->len <= len)
        return;
    while (len > 0 && ((unsigned char)t->bytes[len] & 0xc0) == 0x80)
        len--;
    t->len = len;
    t->bytes[len] = '\0';
}

void text_printf(struct text *t, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    /* Most fit the room that is there; the second pass is for those that do not. */
    int len = vsnprintf(t->bytes ? t->bytes + t->len : NULL, t->capacity - t->len, format, args);
    CHECK(len >= 0);
    if (t->bytes == NULL || t->capacity - t->len <= (size_t)len) {
        text_reserve(t, (size_t)len);
        vsnprintf(t->bytes + t->len, (size_t)len + 1, format, again);
    }
    t->len += (size_t)len;
    va_end(again);
    va_end(args);
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Length of the well-formed UTF-8 sequence at the front of s, 1 to 4, or 0: Unicode 15, table 3-7, which shuts out
   overlong forms, surrogates and what lies above U+10FFFF. */
static size_t utf8_length(struct slice s)
{
    unsigned char first = (unsigned char)s.ptr[0];
    if (first < 0x80)
        return 1;
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || s.len < len)
        return 0;
    unsigned char second = (unsigned char)s.ptr[1];
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (!is_continuation(s.ptr[i]))
            return 0;
    return len;
}

bool text_is_utf8(struct slice s)
{
    size_t at = 0, len = 1;
    for (; at < s.len && len > 0; at += len)
        len = utf8_length(slice_after(s, at));
    return len > 0;
}

/* The JSON escape of an ASCII character (RFC 8259, section 7) into out, or false when it stands for itself. */
static bool json_escape(char c, char out[7])
{
    static const char specials[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *special = c ? strchr(specials, c) : NULL;
    if (special != NULL)
        snprintf(out, 7, "\\%c", letters[special - specials]);
    else if ((unsigned char)c < 0x20)
        snprintf(out, 7, "\\u%04x", (unsigned)(unsigned char)c);
    else
        return false;
    return true;
}

/* A byte that begins no valid sequence is replaced alone, so that one bad byte costs one U+FFFD and what follows is
   read again. Runs of bytes that stand for themselves are added in one go. */
void text_add_json(struct text *t, struct slice s)
{
    size_t run = 0;
    for (size_t at = 0; at < s.len;) {
        char escape[7] = "\xef\xbf\xbd"; /* U+FFFD */
        size_t len = utf8_length(slice_after(s, at));
        if (len > 1 || (len == 1 && !json_escape(s.ptr[at], escape))) {
            at += len;
            continue;
        }
        text_add(t, slice_from(s.ptr + run, at - run));
        text_add_cstr(t, escape);
        run = ++at;
    }
    if (s.len > run)
        text_add(t, slice_after(s, run));
}
