/* config/rows.h - how the rows of THE table are written: one macro a type, checked against the member it fills.
 *
 * A row says two things about its member, type and size, that the compiler knows as well. These macros ask it, so that
 * a member whose type was changed without its row does not compile, instead of being filled with something else.
 *
 *   { DURATION("timeout", struct route_config, timeout_ms), .default_text = "30s", .doc = "..." }, */
#ifndef CONFIG_ROWS_H
#define CONFIG_ROWS_H

#include "base/check.h"

#include "config/fields.h"
#include "config/finish.h"
#include "config/formats.h"
#include "config/model_rollout.h"

/* The offset of a member, refused by the compiler when the member has not the type that the setting writes. */
#define AT(owner, member, wanted)                                                                                      \
    (offsetof(owner, member) +                                                                                         \
     0 * sizeof(struct {                                                                                               \
         _Static_assert(__builtin_types_compatible_p(__typeof__(((owner *)0)->member), wanted),                        \
                        #member " is not of type " #wanted);                                                           \
         int unused;                                                                                                   \
     }))
#define MEMBER(owner, member, wanted) .offset = AT(owner, member, wanted), .size_bytes = sizeof(((owner *)0)->member)
#define PLACE(owner, member)          .place_offset = AT(owner, member, struct place)
#define BESIDE(owner, member, wanted) .beside_offset = AT(owner, member, wanted)

/* One macro a type: YAML name, struct, member(s). */
#define BOOL(key, owner, member)     .name = key, .type = SETTING_BOOL, MEMBER(owner, member, bool)
#define COUNT(key, owner, member)    .name = key, .type = SETTING_COUNT, MEMBER(owner, member, uint32_t)
#define STATUS(key, owner, member)   .name = key, .type = SETTING_COUNT, MEMBER(owner, member, uint16_t)
#define DURATION(key, owner, member) .name = key, .type = SETTING_DURATION, MEMBER(owner, member, int64_t)
#define SIZE(key, owner, member)     .name = key, .type = SETTING_SIZE, MEMBER(owner, member, uint64_t)
#define SHARE(key, owner, member)    .name = key, .type = SETTING_SHARE, MEMBER(owner, member, uint32_t)
#define DECIMAL(key, owner, member)  .name = key, .type = SETTING_DECIMAL, MEMBER(owner, member, double)
#define RATE(key, owner, member, period)                                                                               \
    .name = key, .type = SETTING_RATE, MEMBER(owner, member, uint32_t), BESIDE(owner, period, uint32_t)
#define TIME(key, owner, member) .name = key, .type = SETTING_TIME, MEMBER(owner, member, struct wall_time)
#define CHOICE(key, owner, member, wanted, words)                                                                      \
    .name = key, .type = SETTING_CHOICE, MEMBER(owner, member, wanted), .choices = words
#define TEXT(key, owner, member)      .name = key, .type = SETTING_TEXT, MEMBER(owner, member, struct slice)
#define FILE_PATH(key, owner, member) .name = key, .type = SETTING_PATH, MEMBER(owner, member, struct slice)
/* A file_path whose place is kept with it: both are members of a struct pem_config. */
#define PEM(key, owner, member) FILE_PATH(key, owner, member.path), PLACE(owner, member.place)
#define ADDRESS(key, owner, member, text)                                                                              \
    .name = key, .type = SETTING_ADDRESS, MEMBER(owner, member, struct endpoint_address),                              \
    BESIDE(owner, text, struct slice)
#define TEXTS(key, owner, member) .name = key, .type = SETTING_TEXTS, MEMBER(owner, member, struct slice_list)
#define NETWORKS(key, owner, member, counter)                                                                          \
    .name = key, .type = SETTING_NETWORKS, MEMBER(owner, member, struct ip_network *), BESIDE(owner, counter, size_t)
#define CONDITION(key, owner, member)                                                                                  \
    .name = key, .type = SETTING_CONDITION, MEMBER(owner, member, struct condition_config *)
#define KEY(key, owner, member) .name = key, .type = SETTING_KEY, MEMBER(owner, member, struct key_config)
#define SUBTABLE(key, owner, member, wanted, sub)                                                                      \
    .name = key, .type = SETTING_TABLE, MEMBER(owner, member, wanted), .table = &sub
/* Keys of their own map that fill members of the owner itself. */
#define GROUP(key, owner, sub)                                                                                         \
    .name = key, .type = SETTING_TABLE, .offset = 0, .size_bytes = sizeof(owner), .table = &sub
#define LIST_OF(key, owner, member, counter, item, sub)                                                                \
    .name = key, .type = SETTING_LIST, MEMBER(owner, member, item *), BESIDE(owner, counter, size_t), .table = &sub
#define MAP_OF(key, owner, member, counter, item, sub)                                                                 \
    .name = key, .type = SETTING_MAP, MEMBER(owner, member, item *), BESIDE(owner, counter, size_t), .table = &sub

/* The same five keys wherever something may be left behind. */
/* clang-format off */
#define OWNERSHIP(owner_struct)                                                                    \
    { TEXT("owner", owner_struct, ownership.owner),                                                \
      .doc = "Who answers for it: a person or a team." },                                          \
    { CHOICE("kind", owner_struct, ownership.kind, enum release_kind, config_kind_words),                 \
      .doc = "What it is for." },                                                                  \
    { TIME("expires", owner_struct, ownership.expires),                                            \
      .doc = "When it should be gone: a date (its 00:00 UTC) or an RFC 3339 time; afterwards it "  \
             "is reported, and works on." },                                                       \
    { TEXT("doc", owner_struct, ownership.doc),                                                    \
      .doc = "Why it is there: a sentence or a link." },                                           \
    { TEXT("runbook", owner_struct, ownership.runbook),                                            \
      .doc = "What to do when it makes trouble: a link." }
/* clang-format on */

#define ROWS(array) .rows = array, .row_count = ARRAY_COUNT(array)

extern const struct setting_table config_segment_table, config_route_table;
extern const struct setting_table config_certificate_table, config_listener_tls_table, config_upstream_tls_table;
extern const struct setting_table config_header_set_table, config_header_edits_table, config_shadow_table;
extern const struct setting_table config_rollout_table, config_slo_table, config_monitor_table, config_notify_table;
extern const struct setting_choice config_kind_words[];

#endif
