/* config/formats.h - what texts must look like: names, header names and values, hosts, paths, methods, addresses.
 *
 * The pattern of a format is for editors and may accept more than its function, which alone decides. */
#ifndef CONFIG_FORMATS_H
#define CONFIG_FORMATS_H

#include "config/fields.h"

extern const struct text_format format_name;            /* of routes, upstreams and the like */
extern const struct text_format format_header_name;     /* one that conditions and keys may ask for */
extern const struct text_format format_editable_header; /* one that header edits may touch */
extern const struct text_format format_header_value;
extern const struct text_format format_token;    /* names of cookies */
extern const struct text_format format_argument; /* names of query arguments */
extern const struct text_format format_method;
extern const struct text_format format_host_pattern;     /* "shop.example.com" or "*.example.com" */
extern const struct text_format format_server_name;      /* a host name or an address, without port */
extern const struct text_format format_certificate_name; /* cn or san */
extern const struct text_format format_authority;        /* host or host:port */
extern const struct text_format format_path;             /* in the normal form of design.md, "Paths" */
extern const struct text_format format_pattern;          /* a regex; route/ compiles it */
extern const struct text_format format_redirect;         /* http(s)://host[/path] */
extern const struct text_format format_bind;             /* IP:PORT or unix:PATH */
extern const struct text_format format_endpoint;         /* HOST:PORT, IP:PORT or unix:PATH */
extern const struct text_format format_json_path;        /* base/json_path.h */
extern const struct text_format format_redact;           /* a header, "$..." or "?argument" */
extern const struct text_format format_digest;           /* SHA-256 in hexadecimal */

#endif
