/* config/fields_shadow.c - THE table's rows for shadows of a route. */
#include "config/rows.h"

/* ---- compare ----------------------------------------------------------------------------------------------------- */

static const struct setting array_key_rows[] = {
    { TEXT("member", struct array_key_config, member), .flags = SETTING_REQUIRED, .format = &format_argument,
      .doc = "The member of each item that tells it from the others." },
};

static const struct setting_table array_key_table = {
    .name = "array_key",
    .doc = "An array of JSON and the member by which its items are matched.",
    .struct_bytes = sizeof(struct array_key_config),
    ROWS(array_key_rows),
    .form = TABLE_AS_FIRST,
};

static const struct setting compare_rows[] = {
    { TEXT("control", struct compare_config, control), PLACE(struct compare_config, control_place),
      .format = &format_name,
      .doc = "An upstream with the version that serves the route: it gets a copy of each compared request, too, and a "
             "field that differs there as often is noise. Without it all that differs is different." },
    { BOOL("live", struct compare_config, is_live), .default_text = "false",
      .doc = "Whether the control may be an upstream that gets the route's own requests: copies load it, too." },
    { SHARE("sample", struct compare_config, sample_ppm), .default_text = "100%",
      .doc = "Of the copies, so many are compared, and go to the control." },
    { SIZE("max_body", struct compare_config, max_body_bytes), .default_text = "256KiB", .min_text = "1B",
      .max_text = "8MiB",
      .doc = "Longest body that is kept to be looked into; a longer one is compared by length and hash." },
    { TEXTS("headers", struct compare_config, headers), .format = &format_header_name,
      .unit = "default: all but those that say how or when an answer was made or carried, as Date, ETag and Via",
      .doc = "The headers of answers that are compared, and no others." },
    { TEXTS("ignore_headers", struct compare_config, ignore_headers), .format = &format_header_name,
      .doc = "Headers that are not compared, beside those that never are." },
    { TEXTS("ignore_json", struct compare_config, ignore_json), .format = &format_json_path,
      .doc = "Places in JSON that are not compared, with everything in them: `$.generated_at`, "
             "`$.items[*].updated_at`, `$..etag` for any depth." },
    { MAP_OF("array_keys", struct compare_config, array_keys, array_key_count, struct array_key_config,
             array_key_table),
      .format = &format_json_path,
      .doc = "Arrays whose items are matched by a member instead of their place: `$.items: id`. Where an item lacks it "
             "or two share it, the place counts." },
    { TEXTS("unordered", struct compare_config, unordered), .format = &format_json_path,
      .doc = "Arrays whose order means nothing: `$.tags`." },
    { TEXTS("redact", struct compare_config, redact), .format = &format_redact,
      .doc = "What is hidden before a pair that differs is kept: headers, places in JSON (`$.card.number`), arguments "
             "of the query (`?iban`). Credentials always are." },
};

static const struct setting_table compare_table = {
    .name = "compare",
    .doc = "Compares the answers to copies with those of the request itself, field by field.",
    .struct_bytes = sizeof(struct compare_config),
    ROWS(compare_rows),
    .finish = compare_finish,
};

/* ---- record ------------------------------------------------------------------------------------------------------ */

static const struct setting record_rows[] = {
    { FILE_PATH("file", struct record_config, file), PLACE(struct record_config, place), .flags = SETTING_REQUIRED,
      .doc = "The file, appended to and reopened on USR1, mode 0600; shadows that name the same one share it." },
    { SIZE("max_bytes", struct record_config, max_bytes), .default_text = "64MiB", .min_text = "64KiB",
      .max_text = "1TiB", .doc = "Past it the file is renamed to FILE.1, that one to FILE.2, and so on." },
    { COUNT("keep", struct record_config, keep_count), .default_text = "4", .max_text = "1000",
      .doc = "How many renamed files are kept; 0 throws away what was written." },
    { SHARE("sample", struct record_config, sample_ppm), .default_text = "100%",
      .doc = "Of the copies, so many are written." },
};

static const struct setting_table record_table = {
    .name = "record",
    .doc = "Writes copied requests and digests of the primary's answers, a line of JSON each: docs/record.md.",
    .struct_bytes = sizeof(struct record_config),
    ROWS(record_rows),
    .form = TABLE_AS_MAP_OR_FIRST,
};

/* ---- shadow ------------------------------------------------------------------------------------------------------ */

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
          "What the copies under way may hold, divided among the workers: heads, bodies that wait for a slow shadow, "
          "beside `limits.memory`; "
          "past it: not copied, or given up." },
    { SUBTABLE("headers", struct shadow_config, headers, struct header_edits_config, config_header_edits_table),
      .unit = "default: set x-shadow: 1, remove authorization, cookie and proxy-authorization",
      .doc = "Changes to the copy's headers; `set` and `remove`, each when it is written, take the place of their "
             "default." },
    { SUBTABLE("compare", struct shadow_config, compare, struct compare_config, compare_table),
      .doc = "Compares its answers with the primary's; when absent they are dropped." },
    { SUBTABLE("record", struct shadow_config, record, struct record_config, record_table),
      .doc = "Where copied requests are written, for `weir replay`; nowhere when absent." },
};

const struct setting_table config_shadow_table = {
    .name = "shadow",
    .doc = "Copies requests to another upstream, whose answers reach nobody.",
    .struct_bytes = sizeof(struct shadow_config),
    .place_offset = offsetof(struct shadow_config, place),
    ROWS(shadow_rows),
    .finish = shadow_finish,
};
