/* config/formats.c - the texts that are refused, and why.
 *
 * http/ has its own, more lenient readers for what peers send. What an operator writes must be exact: a path or host
 * that is not in the form in which requests are compared would never match, in silence. */
#include "config/formats.h"

#include "base/check.h"
#include "base/json_path.h"
#include "base/units.h"

#define NAME_MAX_BYTES 64u
#define HEADER_CHARS   "!#$%&'*+-.^_`|~" /* of a token beside letters and digits: RFC 9110 section 5.6.2 */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

/* At least one letter, digit or one of `others`, and nothing else. */
static bool is_made_of(struct slice s, const char *others)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_letter(s.ptr[i]) && !is_digit(s.ptr[i]) && (s.ptr[i] == '\0' || !strchr(others, s.ptr[i])))
            return false;
    return s.len > 0;
}

/* ---- names and tokens -------------------------------------------------------------------------------------------- */

/* Names appear in metric labels, in x-weir-upstream, in paths of the admin API and as NAME=WEIGHT on the command line:
   none of these may need quoting. */
static const char *name_fault(struct slice s)
{
    if (s.len > NAME_MAX_BYTES)
        return "is too long for a name";
    return is_made_of(s, "._-") ? NULL : "is not a name";
}

static const char *header_name_fault(struct slice s)
{
    return is_made_of(s, HEADER_CHARS) ? NULL : "is not a header name";
}

static const char *token_fault(struct slice s)
{
    return is_made_of(s, HEADER_CHARS) ? NULL : "is not a cookie name";
}

static const char *argument_fault(struct slice s)
{
    return s.len > 0 ? NULL : "is not a name of an argument";
}

static const char *pattern_fault(struct slice s)
{
    return s.len > 0 ? NULL : "is an empty pattern, which matches everything";
}

/* Methods are case-sensitive (RFC 9110 section 9.1), so "get" would match nothing that clients send. CONNECT is
   answered with 501 before routes are looked at. */
static const char *method_fault(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] >= 'a' && s.ptr[i] <= 'z')
            return "is not a method: they are compared in capitals";
    if (slice_equal(s, SLICE("CONNECT")))
        return "is never served";
    return is_made_of(s, HEADER_CHARS) ? NULL : "is not a method";
}

/* What is hidden where answers are compared: a header, a place in JSON, an argument of the query. */
static const char *redact_fault(struct slice s)
{
    if (s.len > 0 && s.ptr[0] == '$')
        return json_path_fault(s);
    if (s.len > 0 && s.ptr[0] == '?')
        return s.len > 1 ? NULL : "names no argument";
    return is_made_of(s, HEADER_CHARS) ? NULL : "is neither a header name, nor a JSON path, nor ?ARGUMENT";
}

static const char *digest_fault(struct slice s)
{
    bool is_hex = s.len == 64;
    for (size_t i = 0; is_hex && i < s.len; i++)
        is_hex = is_digit(s.ptr[i]) || strchr("abcdefABCDEF", s.ptr[i]);
    return is_hex ? NULL : "is not a SHA-256 digest";
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

/* What a hop writes by itself (RFC 9110 section 7.6.1, RFC 9112 section 6): an edit could only make two parties
   disagree about where a message ends. */
static const char *editable_header_fault(struct slice s)
{
    static const char *const own[] = {
        "connection", "content-length",    "expect",  "keep-alive", "proxy-connection", "te",
        "trailer",    "transfer-encoding", "upgrade",
    };
    for (size_t i = 0; i < ARRAY_COUNT(own); i++)
        if (slice_equal_nocase(s, slice_from_cstr(own[i])))
            return "belongs to the connection, and cannot be edited";
    if (slice_equal_nocase(s, SLICE("host")))
        return "cannot be edited here, but with rewrite: { host: ... }";
    return header_name_fault(s);
}

/* RFC 9110 section 5.5. CR and LF would begin a header of their own. */
static const char *header_value_fault(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (is_control(s.ptr[i]) && s.ptr[i] != '\t')
            return "holds a control character";
    if (slice_trim(s).len != s.len)
        return "begins or ends with a space";
    return NULL;
}

/* ---- hosts and addresses ----------------------------------------------------------------------------------------- */

static bool is_bracketed_ip(struct slice s)
{
    struct ip_address ip;
    return s.len > 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']' && slice_find(s, ':') < s.len &&
           ip_parse(slice_first(slice_after(s, 1), s.len - 2), &ip);
}

/* Labels as certificates and DNS have them, with the underscore that internal names like; a final dot is the root. */
static bool is_host(struct slice s)
{
    if (is_bracketed_ip(s))
        return true;
    if (slice_has_suffix(s, SLICE(".")))
        s = slice_first(s, s.len - 1);
    struct slice rest = s, label;
    if (s.len == 0 || s.len > 253 || slice_has_suffix(s, SLICE(".")))
        return false;
    while (slice_next_item(&rest, '.', &label))
        if (label.len > 63 || !is_made_of(label, "-_"))
            return false;
    return true;
}

static const char *server_name_fault(struct slice s)
{
    struct ip_address ip;
    return is_host(s) || ip_parse(s, &ip) ? NULL : "is neither a host name nor an address";
}

static const char *certificate_name_fault(struct slice s)
{
    return slice_equal(s, SLICE("cn")) || slice_equal(s, SLICE("san")) ? NULL : "is neither cn nor san";
}

/* Requests' hosts are compared without port and in lower case; config/finish.c takes the case and the final dot
   away. */
static const char *host_pattern_fault(struct slice s)
{
    if (slice_equal(s, SLICE("*")))
        return "stands for any host";
    if (slice_has_prefix(s, SLICE("*.")))
        s = slice_after(s, 2);
    if (slice_find(s, '*') < s.len)
        return "has a * that is not the whole first label";
    if (slice_find(s, ':') < s.len && !is_bracketed_ip(s))
        return "has a port or a scheme";
    return is_host(s) ? NULL : "is not a host";
}

static const char *authority_fault(struct slice s)
{
    const char *colon = s.len ? memrchr(s.ptr, ':', s.len) : NULL;
    uint64_t port;
    if (is_host(s))
        return NULL;
    if (colon == NULL || !is_host(slice_first(s, (size_t)(colon - s.ptr))))
        return "is not a host";
    struct slice digits = slice_after(s, (size_t)(colon - s.ptr) + 1);
    return slice_to_u64(digits, &port) && port <= UINT16_MAX ? NULL : "has a port that is none";
}

/* Location is written as it stands here, plus the request's path when there is none. */
static const char *redirect_fault(struct slice s)
{
    size_t scheme_len = slice_has_prefix(s, SLICE("https://")) ? 8 : slice_has_prefix(s, SLICE("http://")) ? 7 : 0;
    if (scheme_len == 0)
        return "does not begin with http:// or https://";
    struct slice rest = slice_after(s, scheme_len);
    size_t host_len = 0;
    while (host_len < rest.len && !strchr("/?#", rest.ptr[host_len]))
        host_len++;
    if (host_len < rest.len && rest.ptr[host_len] != '/')
        return "has a query or fragment, but no path";
    for (size_t i = host_len; i < rest.len; i++)
        if (is_control(rest.ptr[i]) || (unsigned char)rest.ptr[i] > 0x7e || strchr(" \"<>\\^`{|}", rest.ptr[i]))
            return "holds a character that must be percent-encoded";
    return authority_fault(slice_first(rest, host_len));
}

/* Only that a well-formed address suits: malformed ones are told by the type. A name to listen on could resolve to
   several addresses, or to another one after the next reload. */
static const char *bind_fault(struct slice s)
{
    struct endpoint_address address;
    bool is_name = endpoint_address_parse(s, &address) && address.kind == ADDRESS_NAME;
    return is_name ? "is not an address to listen on" : NULL;
}

static const char *endpoint_fault(struct slice s)
{
    struct endpoint_address address;
    bool is_portless = endpoint_address_parse(s, &address) && address.kind != ADDRESS_UNIX && address.port == 0;
    return is_portless ? "has port 0" : NULL;
}

/* ---- paths ------------------------------------------------------------------------------------------------------- */

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The normal form keeps a %-sequence only where it is needed, and in capitals. */
static const char *percent_fault(struct slice s, size_t at)
{
    int high = at + 2 < s.len ? hex_value(s.ptr[at + 1]) : -1;
    int low = at + 2 < s.len ? hex_value(s.ptr[at + 2]) : -1;
    if (high < 0 || low < 0)
        return "holds a %-sequence that is not two digits or capitals";
    char c = (char)(high * 16 + low);
    if (c == '\0' || c == '\\')
        return "holds %00 or %5C, which no request may";
    if (is_letter(c) || is_digit(c) || strchr("-._~", c))
        return "encodes a character that is compared as itself";
    return NULL;
}

/* RFC 3986 section 5.2.4 takes them out of every request's path. */
static bool has_dot_segment(struct slice s)
{
    struct slice rest = s, segment;
    while (slice_next_item(&rest, '/', &segment))
        if (slice_equal(segment, SLICE(".")) || slice_equal(segment, SLICE("..")))
            return true;
    return false;
}

static const char *path_fault(struct slice s)
{
    if (!slice_has_prefix(s, SLICE("/")))
        return "does not begin with /";
    if (slice_find(s, '?') < s.len || slice_find(s, '#') < s.len)
        return "is more than a path: it holds ? or #";
    for (size_t i = 0; i < s.len; i++) {
        const char *fault = s.ptr[i] == '%' ? percent_fault(s, i) : NULL;
        if (fault != NULL)
            return fault;
        if ((unsigned char)s.ptr[i] <= ' ' || (unsigned char)s.ptr[i] >= 0x7f || s.ptr[i] == '\\')
            return "holds a character that must be percent-encoded";
    }
    return has_dot_segment(s) ? "holds a . or .. segment" : NULL;
}

/* ---- the formats ------------------------------------------------------------------------------------------------- */

#define TOKEN_PATTERN "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"

const struct text_format format_name = {
    "a name",
    "^[A-Za-z0-9._-]{1,64}$",
    "a name is 1 to 64 letters, digits, dots, dashes and underscores",
    name_fault,
};
const struct text_format format_header_name = { "a header name", TOKEN_PATTERN, NULL, header_name_fault };
const struct text_format format_editable_header = { "a header name", TOKEN_PATTERN, NULL, editable_header_fault };
const struct text_format format_header_value = { "a text", NULL, NULL, header_value_fault };
const struct text_format format_token = { "a cookie name", TOKEN_PATTERN, NULL, token_fault };
const struct text_format format_argument = { "a name", "^.+$", NULL, argument_fault };
const struct text_format format_method = {
    "a method",
    "^[A-Z0-9!#$%&'*+.^_`|~-]+$",
    "write GET, POST and the like",
    method_fault,
};
const struct text_format format_server_name = {
    "a host",
    "^[A-Za-z0-9._:-]+$",
    "write the name that the certificate is for, without port",
    server_name_fault,
};
const struct text_format format_certificate_name = { "cn or san", "^(cn|san)$", NULL, certificate_name_fault };
const struct text_format format_host_pattern = {
    "a host",
    NULL,
    "write a host without port, or *.example.com for every host below it; leave host out for any "
    "host",
    host_pattern_fault,
};
const struct text_format format_authority = { "a host", NULL, "write HOST or HOST:PORT", authority_fault };
const struct text_format format_path = {
    "a path",
    "^/[^?# \\\\]*$",
    "paths are compared in one normal form: write it as such",
    path_fault,
};
const struct text_format format_pattern = { "a pattern", "^.+$", NULL, pattern_fault };
const struct text_format format_redirect = {
    "a URL",
    "^https?://[^ ]+$",
    "write https://HOST to keep the request's path, or https://HOST/PATH",
    redirect_fault,
};
const struct text_format format_url = {
    "a URL",
    "^https?://[^ ]+$",
    "write http://HOST:PORT/PATH, or with https://",
    redirect_fault,
};
const struct text_format format_bind = {
    "an address",
    "^(unix:.+|.+:[0-9]+)$",
    "write IP:PORT or unix:PATH; 0.0.0.0 and [::] stand for every address of the host",
    bind_fault,
};
const struct text_format format_endpoint = { "an address", "^(unix:.+|.+:[0-9]+)$", NULL, endpoint_fault };
const struct text_format format_json_path = {
    "a JSON path",
    "^\\$",
    "write $.member, $.items[*].member, $[\"any name\"] or $..member for any depth",
    json_path_fault,
};

const struct text_format format_redact = {
    "a header, a JSON path or an argument",
    ".",
    "write a header's name, $.member or ?argument",
    redact_fault,
};

const struct text_format format_digest = {
    "a SHA-256 digest",
    "^[0-9A-Fa-f]{64}$",
    "64 hexadecimal digits, as printf %s TOKEN | sha256sum prints them",
    digest_fault,
};
