/* admin/mask.c - hides token digests in configuration text. */
#include "admin/mask.h"

#define DIGEST_DIGITS 64
#define MASK          "********"

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static size_t hex_run(struct slice s)
{
    size_t n = 0;
    while (n < s.len && is_hex(s.ptr[n]))
        n++;
    return n;
}

/* Bytes of `sha256`, its colon and blanks (quotes around the key too); 0 when the text does not start with that. */
static size_t key_length(struct slice s)
{
    size_t n = sizeof "sha256" - 1;
    if (!slice_has_prefix(s, SLICE("sha256")))
        return 0;
    while (n < s.len && (s.ptr[n] == '"' || s.ptr[n] == '\'' || s.ptr[n] == ' '))
        n++;
    if (n == s.len || s.ptr[n] != ':')
        return 0;
    for (n++; n < s.len && (s.ptr[n] == ' ' || s.ptr[n] == '\t');)
        n++;
    return n;
}

/* A quoted or plain scalar. */
static size_t value_length(struct slice s)
{
    char quote = s.len > 0 && (s.ptr[0] == '"' || s.ptr[0] == '\'') ? s.ptr[0] : '\0';
    size_t n = quote != '\0';
    while (n < s.len && s.ptr[n] != '\n') {
        if (quote != '\0' && s.ptr[n] == quote)
            return n + 1;
        if (quote == '\0' && (s.ptr[n] == ',' || s.ptr[n] == '}' || s.ptr[n] == ' '))
            return n;
        n++;
    }
    return n;
}

void mask_write(struct text *out, struct slice config_text)
{
    struct slice rest = config_text;
    while (rest.len > 0) {
        size_t run = hex_run(rest), key = key_length(rest);
        if (key > 0) {
            text_add(out, slice_first(rest, key));
            rest = slice_after(rest, key);
            size_t value = value_length(rest);
            if (value > 0)
                text_add_cstr(out, MASK);
            rest = slice_after(rest, value);
        } else if (run == DIGEST_DIGITS) {
            text_add_cstr(out, MASK);
            rest = slice_after(rest, run);
        } else {
            size_t step = run > 0 ? run : 1;
            text_add(out, slice_first(rest, step));
            rest = slice_after(rest, step);
        }
    }
}
