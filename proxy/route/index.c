/* route/index.c - hosts and path segments as a tree of hash look-ups whose nodes list routes in file order. */
#include "route/index.h"

#include "base/hash.h"
#include "base/memory.h"

#include "route/pattern.h"

/* Three fixed nodes at the top; an edge carries a host (below the first two) or one path segment (below all others):

     EXACT_HOSTS --"shop.example.com"--> root of that host --"checkout"--> node --"v2"--> node
     WILD_HOSTS  --"example.com"-------> root of *.example.com --...
     ANY_HOST                            root of the routes without a host --...

   A request walks each root that its host leads to, as deep as the configured paths go, never deeper: the operator's
   patterns set what it costs, not the number of routes nor what a peer sends. That a list is met says that host and
   path fit (regexes apart), not which route wins: the order of the file says that, so index_next merges the lists. */
enum { NODE_EXACT_HOSTS, NODE_WILD_HOSTS, NODE_ANY_HOST, NODE_FIXED_COUNT };

/* The lists of a node, by how a path must go on behind the segments that lead to it. */
enum list_kind {
    LIST_REACHED, /* in any way or not at all: prefix "/a" at node a; at a root also regexes and no path */
    LIST_BELOW,   /* with a further segment, perhaps empty: prefix "/a/" at node a */
    LIST_ENDED,   /* not at all: exact "/a" at node a */
    LIST_KINDS
};

struct list_range {
    uint32_t first, count; /* in postings */
};

struct node {
    struct list_range lists[LIST_KINDS];
    bool has_edges; /* else nobody need hash a label to find out that it leads nowhere */
};

/* Labels point into the routes, which outlive the index. Slot of the hash table of all edges: open addressing, linear
   probing. child 0: free. */
struct edge {
    const char *bytes;
    uint32_t len, parent, child;
    uint32_t hash;
};

struct route_index {
    struct node *nodes;
    struct edge *edges;
    uint32_t edge_mask;
    uint32_t *postings; /* indexes of routes, list by list, each ascending */
    uint32_t node_count, route_count;
    size_t wild_max_bytes; /* of the longest suffix under WILD_HOSTS; 0: there is none */
};

/* ---- edges ------------------------------------------------------------------------------------------------------- */

static uint32_t edge_hash(uint32_t parent, struct slice label)
{
    return (uint32_t)(hash_mix(hash_bytes(label.ptr, label.len) + parent) >> 32);
}

/* The edge's slot, or the free one where it would go. */
static struct edge *edge_probe(const struct route_index *x, uint32_t parent, struct slice label, uint32_t hash)
{
    for (uint32_t at = hash & x->edge_mask;; at = (at + 1) & x->edge_mask) {
        struct edge *e = &x->edges[at];
        if (e->child == 0 || (e->hash == hash && e->parent == parent && e->len == label.len &&
                              memcmp(e->bytes, label.ptr, label.len) == 0))
            return e;
    }
}

/* 0: no such edge. */
static uint32_t edge_follow(const struct route_index *x, uint32_t parent, struct slice label)
{
    if (!x->nodes[parent].has_edges)
        return 0;
    return edge_probe(x, parent, label, edge_hash(parent, label))->child;
}

static uint32_t edge_make(struct route_index *x, uint32_t parent, struct slice label)
{
    uint32_t hash = edge_hash(parent, label);
    struct edge *e = edge_probe(x, parent, label, hash);
    if (e->child == 0)
        *e = (struct edge){ label.ptr, (uint32_t)label.len, parent, x->node_count++, hash };
    return e->child;
}

/* Takes the next segment off a path whose leading '/' is gone; false when it was the last. */
static bool take_segment(struct slice *rest, struct slice *segment)
{
    size_t len = slice_find(*rest, '/');
    bool is_last = len == rest->len;
    *segment = slice_first(*rest, len);
    *rest = slice_after(*rest, len + 1);
    return !is_last;
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

/* A route in a list: node * LIST_KINDS + kind. */
struct posting {
    uint32_t list, route;
};

struct builder {
    struct route_index *index;
    struct posting *postings; /* in file order */
    uint32_t posting_count;
};

static size_t segment_count(struct slice path)
{
    size_t count = 0;
    for (size_t i = 0; i < path.len; i++)
        count += path.ptr[i] == '/';
    return count;
}

/* Room for every edge if no two routes shared one. */
static size_t edge_count_bound(const struct compiled_route *routes, uint32_t route_count)
{
    size_t bound = 1;
    for (uint32_t i = 0; i < route_count; i++)
        bound += (routes[i].host_count + 1) * (1 + segment_count(routes[i].path));
    return bound;
}

static size_t posting_count_bound(const struct compiled_route *routes, uint32_t route_count)
{
    size_t bound = 1;
    for (uint32_t i = 0; i < route_count; i++)
        bound += routes[i].host_count + 1;
    return bound;
}

static uint32_t root_of_pattern(struct route_index *x, struct slice host)
{
    if (slice_equal(host, SLICE("*")))
        return NODE_ANY_HOST;
    if (!host_is_wildcard(host))
        return edge_make(x, NODE_EXACT_HOSTS, host);
    struct slice suffix = slice_after(host, WILDCARD_PREFIX.len);
    if (suffix.len > x->wild_max_bytes)
        x->wild_max_bytes = suffix.len;
    return edge_make(x, NODE_WILD_HOSTS, suffix);
}

/* The list that a path pattern belongs to, below a host's root. "/a/b" has the segments a, b; "/a/" has a and an
   empty one, which as a prefix asks for some segment behind a and as an exact path for just the empty one. */
static uint32_t list_of_path(struct route_index *x, uint32_t root, const struct compiled_route *r)
{
    enum path_match_kind kind = r->config->match.path_kind;
    bool is_everything = kind == PATH_PREFIX && r->path.len == 1;
    if (kind == PATH_ANY || kind == PATH_REGEX || is_everything)
        return root * LIST_KINDS + LIST_REACHED;
    uint32_t node = root;
    struct slice rest = slice_after(r->path, 1), segment;
    while (take_segment(&rest, &segment))
        node = edge_make(x, node, segment);
    if (kind == PATH_PREFIX && segment.len == 0)
        return node * LIST_KINDS + LIST_BELOW;
    node = edge_make(x, node, segment);
    return node * LIST_KINDS + (kind == PATH_EXACT ? LIST_ENDED : LIST_REACHED);
}

static void post(struct builder *b, uint32_t root, const struct compiled_route *r)
{
    b->postings[b->posting_count++] = (struct posting){ list_of_path(b->index, root, r), r->index };
}

static void post_route(struct builder *b, const struct compiled_route *r)
{
    if (r->host_count == 0)
        post(b, NODE_ANY_HOST, r);
    for (size_t i = 0; i < r->host_count; i++)
        post(b, root_of_pattern(b->index, r->hosts[i]), r);
}

static struct list_range *list_at(const struct route_index *x, uint32_t list)
{
    return &x->nodes[list / LIST_KINDS].lists[list % LIST_KINDS];
}

/* Sorts the postings by list, keeping file order inside each: a counting sort. */
static void lay_out_lists(struct builder *b, struct arena *arena)
{
    struct route_index *x = b->index;
    x->nodes = arena_zalloc_array(arena, x->node_count, sizeof *x->nodes);
    x->postings = arena_zalloc_array(arena, b->posting_count, sizeof *x->postings);
    for (uint32_t i = 0; i < b->posting_count; i++)
        list_at(x, b->postings[i].list)->count++;
    for (uint32_t i = 0; i <= x->edge_mask; i++)
        if (x->edges[i].child != 0)
            x->nodes[x->edges[i].parent].has_edges = true;
    uint32_t first = 0;
    for (uint32_t list = 0; list < x->node_count * LIST_KINDS; list++) {
        list_at(x, list)->first = first;
        first += list_at(x, list)->count;
        list_at(x, list)->count = 0;
    }
    for (uint32_t i = 0; i < b->posting_count; i++) {
        struct list_range *list = list_at(x, b->postings[i].list);
        x->postings[list->first + list->count++] = b->postings[i].route;
    }
}

/* One list is one host and path. At the place of the first route too many: those before it are no worse than
   planned. */
static void warn_competing(const struct route_index *x, const struct compiled_route *routes, struct err_list *errors)
{
    for (uint32_t list = 0; list < x->node_count * LIST_KINDS; list++) {
        const struct list_range *range = list_at(x, list);
        if (range->count <= INDEX_COMPETING_MAX)
            continue;
        const uint32_t *members = &x->postings[range->first];
        const struct route_config *first = routes[members[0]].config;
        struct err *e =
            err_add_warning(errors, routes[members[INDEX_COMPETING_MAX]].config->place,
                            "%u routes compete for one host and path, as \"%.*s\" does: they are tried one by one",
                            range->count, SLICE_ARG(first->name));
        err_hint(errors, e, "let hosts or paths tell them apart");
    }
}

static struct route_index *index_create(struct arena *arena, size_t edge_bound)
{
    struct route_index *x = arena_zalloc(arena, sizeof *x);
    size_t capacity = 16;
    while (capacity < edge_bound * 2)
        capacity *= 2;
    CHECK(capacity <= UINT32_MAX / LIST_KINDS);
    x->edges = arena_zalloc_array(arena, capacity, sizeof *x->edges);
    x->edge_mask = (uint32_t)capacity - 1;
    x->node_count = NODE_FIXED_COUNT;
    return x;
}

struct route_index *index_build(struct arena *arena, const struct compiled_route *routes, uint32_t route_count,
                                struct err_list *errors)
{
    struct route_index *x = index_create(arena, edge_count_bound(routes, route_count));
    struct builder b = { .index = x };
    b.postings = memory_resize_array(NULL, posting_count_bound(routes, route_count), sizeof *b.postings);
    for (uint32_t i = 0; i < route_count; i++)
        post_route(&b, &routes[i]);
    lay_out_lists(&b, arena);
    memory_free(b.postings);
    x->route_count = route_count;
    warn_competing(x, routes, errors);
    return x;
}

/* ---- walking ----------------------------------------------------------------------------------------------------- */

static void add_run(const struct route_index *x, struct index_cursor *cursor, uint32_t node, enum list_kind kind)
{
    struct list_range range = x->nodes[node].lists[kind];
    if (range.count == 0)
        return;
    if (cursor->run_count == INDEX_MAX_LISTS) { /* rather slow than wrong */
        cursor->is_everything = true;
        return;
    }
    const uint32_t *first = &x->postings[range.first];
    cursor->runs[cursor->run_count++] = (struct index_run){ first, first + range.count };
}

static void walk_path(const struct route_index *x, struct index_cursor *cursor, uint32_t root, struct slice path)
{
    uint32_t node = root;
    add_run(x, cursor, node, LIST_REACHED);
    if (path.len == 0 || path.ptr[0] != '/')
        return;
    struct slice rest = slice_after(path, 1), segment;
    bool has_more = true;
    while (has_more) {
        add_run(x, cursor, node, LIST_BELOW);
        has_more = take_segment(&rest, &segment);
        node = edge_follow(x, node, segment);
        if (node == 0)
            return;
        add_run(x, cursor, node, LIST_REACHED);
    }
    add_run(x, cursor, node, LIST_ENDED);
}

/* Tries each dot of the host, but no further to the left than the longest pattern reaches: a peer chooses the number
   of dots. */
static void walk_wild_hosts(const struct route_index *x, struct index_cursor *cursor, struct slice host,
                            struct slice path)
{
    if (x->wild_max_bytes == 0)
        return;
    size_t at = host.len > x->wild_max_bytes + 1 ? host.len - x->wild_max_bytes - 1 : 1;
    for (; at < host.len; at++) {
        uint32_t root = host.ptr[at] == '.' ? edge_follow(x, NODE_WILD_HOSTS, slice_after(host, at + 1)) : 0;
        if (root != 0)
            walk_path(x, cursor, root, path);
    }
}

void index_begin(const struct route_index *x, struct slice host, struct slice path, struct index_cursor *cursor)
{
    cursor->run_count = 0;
    cursor->is_everything = false;
    cursor->next = 0;
    cursor->route_count = x->route_count;
    uint32_t root = edge_follow(x, NODE_EXACT_HOSTS, host);
    if (root != 0)
        walk_path(x, cursor, root, path);
    walk_wild_hosts(x, cursor, host, path);
    walk_path(x, cursor, NODE_ANY_HOST, path);
}

static uint32_t smallest_head(const struct index_cursor *cursor)
{
    uint32_t smallest = CONFIG_NONE;
    for (uint32_t i = 0; i < cursor->run_count; i++)
        if (*cursor->runs[i].at < smallest)
            smallest = *cursor->runs[i].at;
    return smallest;
}

/* Also takes duplicates away: a route stands in several lists when several of its hosts fit. */
static void drop_head(struct index_cursor *cursor, uint32_t route)
{
    for (uint32_t i = 0; i < cursor->run_count;) {
        struct index_run *run = &cursor->runs[i];
        while (run->at < run->end && *run->at == route)
            run->at++;
        if (run->at < run->end)
            i++;
        else
            *run = cursor->runs[--cursor->run_count];
    }
}

uint32_t index_next(struct index_cursor *cursor)
{
    if (cursor->is_everything)
        return cursor->next < cursor->route_count ? cursor->next++ : CONFIG_NONE;
    uint32_t route = smallest_head(cursor);
    if (route != CONFIG_NONE)
        drop_head(cursor, route);
    return route;
}
