/* config/expand.c - substitutes environment variables after YAML is parsed, so that no value can add structure. */
#include "config/expand.h"

#include "base/text.h"

struct expansion {
    const struct config_source *source;
    struct arena *arena;
    struct err_list *errors;
    struct text text; /* of the value at hand; its memory is used again */
};

static bool is_name_char(char c, bool is_first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!is_first && c >= '0' && c <= '9');
}

static bool is_variable_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_name_char(s.ptr[i], i == 0))
            return false;
    return s.len > 0;
}

/* `rest` begins with "${": adds the variable's value, and returns the bytes read; 0 when refused. */
static size_t expand_variable(struct expansion *x, struct node *node, struct slice rest)
{
    size_t close = slice_find(rest, '}');
    struct slice name = slice_after(slice_first(rest, close), 2);
    if (close == rest.len || !is_variable_name(name)) {
        struct err *e =
            err_add(x->errors, node->place, "'%.*s' does not name a variable", SLICE_ARG(slice_first(rest, close + 1)));
        err_hint(x->errors, e, "write ${NAME}, or $${ for a plain ${");
        return 0;
    }
    const char *value = x->source->get_env(x->source->arg, arena_copy(x->arena, name).ptr);
    if (value == NULL) {
        struct err *e = err_add(x->errors, node->place, "the environment variable %.*s is not set", SLICE_ARG(name));
        err_hint(x->errors, e, "set it, or write $${ for a plain ${");
        return 0;
    }
    text_add_cstr(&x->text, value);
    return close + 1;
}

static void expand_text(struct expansion *x, struct node *node)
{
    struct slice rest = node->text;
    text_clear(&x->text);
    while (rest.len > 0) {
        size_t dollar = slice_find(rest, '$');
        size_t taken = 1;
        text_add(&x->text, slice_first(rest, dollar));
        rest = slice_after(rest, dollar);
        if (slice_has_prefix(rest, SLICE("$${"))) {
            text_add_cstr(&x->text, "${");
            taken = 3;
        } else if (slice_has_prefix(rest, SLICE("${"))) {
            taken = expand_variable(x, node, rest);
        } else if (rest.len > 0) {
            text_add_char(&x->text, '$');
        }
        if (taken == 0) {
            node->kind = NODE_BROKEN;
            return;
        }
        rest = slice_after(rest, taken);
    }
    node->text = arena_copy(x->arena, text_slice(&x->text));
}

/* Recursion is bounded by YAML_DEPTH_MAX. */
static void expand_node(struct expansion *x, struct node *node)
{
    if (node->kind == NODE_TEXT && slice_find(node->text, '$') < node->text.len)
        expand_text(x, node);
    for (struct node *child = node->first; child != NULL; child = child->next)
        expand_node(x, node->kind == NODE_MAP ? child->value : child);
}

void expand_values(struct node *node, const struct config_source *source, struct arena *arena, struct err_list *errors)
{
    struct expansion x = { .source = source, .arena = arena, .errors = errors };
    text_init(&x.text);
    expand_node(&x, node);
    text_fini(&x.text);
}
