/* base/slice.c - comparing, searching and splitting borrowed bytes. */
#include "base/slice.h"

static unsigned char lower_ascii(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower_ascii((unsigned char)a.ptr[i]) != lower_ascii((unsigned char)b.ptr[i]))
            return false;
    return true;
}

int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool slice_contains(struct slice s, struct slice needle)
{
    if (needle.len == 0)
        return true;
    return s.len != 0 && memmem(s.ptr, s.len, needle.ptr, needle.len) != NULL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool slice_next_item(struct slice *rest, char separator, struct slice *item)
{
    if (rest->ptr == NULL)
        return false;
    size_t at = slice_find(*rest, separator); /* at the length: this is the last item */
    *item = slice_trim(slice_first(*rest, at));
    *rest = at == rest->len ? SLICE_NONE : slice_after(*rest, at + 1);
    return true;
}

/* Nothing is skipped and nothing left over: "+1", " 1", "1 " and "" are no numbers, which Content-Length relies on. */
bool slice_to_u64(struct slice s, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(c - '0'), &value))
            return false;
    }
    *out = value;
    return s.len > 0;
}
