/* route/shadows.c - which of a route's shadows a request meets, and why not the others. */
#include "route/shadows.h"

#include "route/program.h"

#define WHOLE_PPM 1000000u

/* As in route/table.c: methods without a name of ours share a bit. */
static uint32_t mask_of(const struct slice_list *methods)
{
    uint32_t mask = 0;
    for (size_t i = 0; i < methods->count; i++)
        mask |= 1u << method_from_name(methods->items[i]);
    if (methods->count > 0)
        return mask;
    for (enum method m = METHOD_OTHER; m < METHOD_COUNT; m++)
        mask |= method_is_safe(m) ? 1u << m : 0;
    return mask;
}

/* The control's copy is like the shadow's, to another upstream. */
static struct compiled_shadow *control_compile(struct arena *arena, const struct shadow_config *config)
{
    struct compiled_shadow *control = arena_zalloc(arena, sizeof *control);
    struct shadow_config *copy = arena_alloc(arena, sizeof *copy);
    *copy = *config;
    copy->to = config->compare.control;
    copy->to_place = config->compare.control_place;
    copy->upstream_index = config->compare.control_index;
    copy->compare = (struct compare_config){ .is_on = false };
    control->config = copy;
    return control;
}

uint32_t shadow_set_slots(struct compiled_shadow *shadow, uint32_t first)
{
    shadow->slot = first++;
    if (shadow->control != NULL)
        shadow->control->slot = first++;
    return first;
}

void shadow_compile(struct arena *arena, struct condition_compiler *conditions, const struct shadow_config *config,
                    struct compiled_shadow *out)
{
    *out = (struct compiled_shadow){ .config = config, .method_mask = mask_of(&config->methods) };
    if (config->when != NULL)
        out->when = condition_compiler_run(conditions, config->when);
    if (config->compare.is_on && config->compare.control.len > 0)
        out->control = control_compile(arena, config);
}

static bool method_fits(const struct compiled_shadow *shadow, const struct message *m)
{
    if ((shadow->method_mask & 1u << m->method) == 0)
        return false;
    bool is_named = m->method != METHOD_OTHER;
    for (size_t i = 0; i < shadow->config->methods.count && !is_named; i++)
        is_named = slice_equal(shadow->config->methods.items[i], m->method_name);
    return is_named;
}

enum shadow_miss shadow_meets(const struct compiled_shadow *shadow, const struct route_request *request)
{
    const struct message *m = request->message;
    if (!method_fits(shadow, m))
        return SHADOW_MISSES_METHOD;
    if (m->is_upgrade || m->method == METHOD_CONNECT)
        return SHADOW_MISSES_TUNNEL;
    if (shadow->when != NULL && !condition_matches(shadow->when, request))
        return SHADOW_MISSES_CONDITION;
    return SHADOW_MET;
}

bool shadow_is_copy(const struct message *m)
{
    if (message_field_named(m, SLICE(SHADOW_MARK_NAME), NULL) != NULL)
        return true;
    for (const struct field *f = message_field(m, FIELD_VIA); f != NULL; f = message_next_field(m, f))
        if (slice_contains(f->value, SLICE(SHADOW_VIA_COMMENT)))
            return true;
    return false;
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

bool share_draw(struct share *share, uint32_t share_ppm, struct rng *rng)
{
    if (share_ppm == WHOLE_PPM || share_ppm == 0)
        return share_ppm != 0;
    if (share->left == 0) {
        uint32_t divisor = common_divisor(WHOLE_PPM, share_ppm);
        *share = (struct share){ .left = WHOLE_PPM / divisor, .hits_left = share_ppm / divisor };
    }
    bool is_hit = rng_below(rng, share->left) < share->hits_left;
    share->left--;
    share->hits_left -= is_hit;
    return is_hit;
}
