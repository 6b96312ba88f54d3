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

/* Of rollouts and what watches them: config/formats_rollout.c. */
extern const struct text_format format_url;      /* http(s)://host[/path[?query]] */
extern const struct text_format format_person;   /* a token's name or unix:USER */
extern const struct text_format format_revision; /* printable, at most REVISION_MAX_BYTES */
extern const struct text_format format_sentence; /* anything but nothing */
extern const struct text_format format_query;    /* PromQL, which Prometheus alone knows */
extern const struct text_format format_bound;    /* a share, a duration or a number */
extern const struct text_format format_days;     /* mon, mon-fri */
extern const struct text_format format_clock;    /* 09:00, 24:00 */
extern const struct text_format format_zone;     /* Europe/Berlin */
extern const struct text_format format_status;   /* 503, 5xx, 500-599 */
extern const struct text_format format_target;   /* a path, perhaps with a query */

#define REVISION_MAX_BYTES 64u

/* The readers behind these formats. */
bool format_read_days(struct slice text, unsigned *out_days); /* bit 0: Monday; sat-mon goes over the week's end */
bool format_read_clock(struct slice text, int32_t *out_s);    /* seconds of the day, 0..86,400 */
bool format_read_status(struct slice text, uint16_t *out_from, uint16_t *out_to);
bool format_read_number(struct slice text, double *out); /* digits, perhaps with a sign and a point */

#endif
