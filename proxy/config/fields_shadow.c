/* config/fields_shadow.c - THE table's rows for shadows of a route. */
#include "config/rows.h"

static const struct setting shadow_rows[] = {
    { TEXT("to", struct shadow_config, to), PLACE(struct shadow_config, to_place), .flags = SETTING_REQUIRED,
      .format = &format_name, .doc = "The upstream that gets the copies." },
    { SHARE("share", struct shadow_config, share_ppm), .default_text = "100%",
      .doc = "Of the requests that meet the rest, so many are copied: drawn at random, exact over each block." },
    { CONDITION("when", struct shadow_config, when), .doc = "Which requests are copied; all when absent." },
    { TEXTS("methods", struct shadow_config, methods), .format = &format_method,
      .unit = "default: the safe ones, GET HEAD OPTIONS TRACE",
      .doc = "Which methods are copied. What changes something is copied only when it is named here." },
    { SIZE("max_body", struct shadow_config, max_body_bytes), .default_text = "1MiB", .min_text = "1B",
      .doc = "Longest request body that is copied; a longer one ends the copy, not the request." },
    { DURATION("timeout", struct shadow_config, timeout_ms), .default_text = "2s", .min_text = "1ms", .max_text = "1h",
      .doc = "From the request's last byte to the end of the copy's answer; past it the copy is given up." },
    { COUNT("max_inflight", struct shadow_config, max_inflight), .default_text = "256", .min_text = "1",
      .max_text = "1000000", .doc = "How many copies may be under way, of all workers; past it: not copied." },
    { SIZE("max_memory", struct shadow_config, max_memory_bytes), .default_text = "64MiB", .min_text = "1MiB",
      .max_text = "1TiB",
      .doc =
          "What the copies under way may hold, divided among the workers: heads, bodies that wait for a slow shadow; "
          "past it: not copied, or given up." },
    { SUBTABLE("headers", struct shadow_config, headers, struct header_edits_config, config_header_edits_table),
      .unit = "default: set x-shadow: 1, remove authorization, cookie and proxy-authorization",
      .doc = "Changes to the copy's headers; `set` and `remove`, each when it is written, take the place of their "
             "default." },
};

const struct setting_table config_shadow_table = {
    .name = "shadow",
    .doc = "Copies requests to another upstream, whose answers are dropped.",
    .struct_bytes = sizeof(struct shadow_config),
    .place_offset = offsetof(struct shadow_config, place),
    ROWS(shadow_rows),
    .later = (const char *const[]){ "compare", "record", NULL },
    .finish = shadow_finish,
};
