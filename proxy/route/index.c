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

/* postings[first, first + count); of a list of one, `first` is the route itself. */
struct list_range {
    uint32_t first, count;
};

struct node {
    uint32_t number; /* in an edge 0 means that its slot is free: no edge leads to the first fixed node */
    bool has_edges;  /* else nobody need hash a label to find out that it leads nowhere */
    struct list_range lists[LIST_KINDS];
};

/* Labels up to this length stand in their edge: nearly every path segment, and most hosts. */
#define EDGE_INLINE_BYTES 24
#define EDGE_LINE_BYTES   64
#define HASH_STEP         0x9e3779b97f4a7c15u /* odd; what it is added to is mixed already */

/* Slot of the hash table of all edges: open addressing, linear probing. Edge, label and the node it leads to are one
   cache line, so each step of a walk is one miss; apart they were three. */
struct edge {
    union { /* the label, in front: memcmp loads 32 bytes however few it compares */
        char inlined[EDGE_INLINE_BYTES];
        const char *bytes; /* longer ones, in the routes, which outlive the index */
    };
    uint32_t len;
    uint32_t parent;   /* a node's number */
    struct node child; /* number 0: free */
};

_Static_assert(sizeof(struct edge) == EDGE_LINE_BYTES, "an edge is a cache line");

struct route_index {
    struct node fixed[NODE_FIXED_COUNT];
    struct edge *edges;
    uint32_t edge_mask;
    uint32_t *postings; /* indexes of routes, list by list, each ascending */
    uint32_t route_count;
    size_t wild_max_bytes; /* of the longest suffix under NODE_WILD_HOSTS; 0: there is none */
};

/* ---- edges ------------------------------------------------------------------------------------------------------- */

static struct slice edge_label(const struct edge *e)
{
    return slice_from(e->len <= EDGE_INLINE_BYTES ? e->inlined : e->bytes, e->len);
}

/* Of all labels from the top, not of the parent's number: so a path's edge need not wait for its host's, and the
   processor, which guesses that this one will be found, fetches both at once. */
static uint64_t edge_hash(uint64_t parent_hash, struct slice label)
{
    return parent_hash * HASH_STEP + hash_bytes(label.ptr, label.len);
}

static uint32_t edge_slot(uint64_t hash, uint32_t mask)
{
    return (uint32_t)(hash >> 32) & mask;
}

/* The edge's slot, or the free one where it would go. */
static struct edge *edge_probe(struct edge *edges, uint32_t mask, uint64_t hash, uint32_t parent, struct slice label)
{
    for (uint32_t at = edge_slot(hash, mask);; at = (at + 1) & mask) {
        struct edge *e = &edges[at];
        if (e->child.number == 0 || (e->parent == parent && slice_equal(edge_label(e), label)))
            return e;
    }
}

/* A node on a walk, and the hash of the labels that led to it: of a fixed node, its number. */
struct position {
    const struct node *node;
    uint64_t hash;
};

static struct position position_of_fixed(const struct route_index *x, uint32_t number)
{
    return (struct position){ &x->fixed[number], number };
}

/* False: no such edge. */
static bool edge_follow(const struct route_index *x, struct position *at, struct slice label)
{
    if (!at->node->has_edges)
        return false;
    at->hash = edge_hash(at->hash, label);
    at->node = &edge_probe(x->edges, x->edge_mask, at->hash, at->node->number, label)->child;
    return at->node->number != 0;
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
    struct edge *edges; /* on the heap while it grows */
    uint32_t edge_count, edge_capacity, node_count;
    uint64_t *hashes;         /* by node: see struct position */
    struct posting *postings; /* in file order */
    uint32_t posting_count;
};

#define EDGES_MIN 16

/* At most half of the slots are taken. */
static void edges_grow(struct builder *b)
{
    uint32_t capacity = b->edge_capacity == 0 ? EDGES_MIN : b->edge_capacity * 2;
    CHECK(capacity <= UINT32_MAX / 2 / LIST_KINDS);
    struct edge *grown = memory_zalloc(capacity * sizeof *grown);
    for (uint32_t i = 0; i < b->edge_capacity; i++) {
        const struct edge *e = &b->edges[i];
        if (e->child.number != 0)
            *edge_probe(grown, capacity - 1, b->hashes[e->child.number], e->parent, edge_label(e)) = *e;
    }
    b->hashes = memory_resize_array(b->hashes, capacity, sizeof *b->hashes);
    memory_free(b->edges);
    b->edges = grown;
    b->edge_capacity = capacity;
}

/* The number of the node that the label leads to. */
static uint32_t edge_make(struct builder *b, uint32_t parent, struct slice label)
{
    if ((b->edge_count + 1) * 2 > b->edge_capacity)
        edges_grow(b);
    uint64_t hash = edge_hash(b->hashes[parent], label);
    struct edge *e = edge_probe(b->edges, b->edge_capacity - 1, hash, parent, label);
    if (e->child.number != 0)
        return e->child.number;
    b->edge_count++;
    b->hashes[b->node_count] = hash;
    e->child.number = b->node_count++;
    e->parent = parent;
    e->len = (uint32_t)label.len;
    if (label.len <= EDGE_INLINE_BYTES)
        memcpy(e->inlined, label.ptr, label.len);
    else
        e->bytes = label.ptr;
    return e->child.number;
}

static size_t posting_count_bound(const struct compiled_route *routes, uint32_t route_count)
{
    size_t bound = 1;
    for (uint32_t i = 0; i < route_count; i++)
        bound += routes[i].host_count + 1;
    return bound;
}

static uint32_t root_of_pattern(struct builder *b, struct slice host)
{
    if (slice_equal(host, SLICE("*")))
        return NODE_ANY_HOST;
    if (!host_is_wildcard(host))
        return edge_make(b, NODE_EXACT_HOSTS, host);
    struct slice suffix = slice_after(host, WILDCARD_PREFIX.len);
    if (suffix.len > b->index->wild_max_bytes)
        b->index->wild_max_bytes = suffix.len;
    return edge_make(b, NODE_WILD_HOSTS, suffix);
}

/* The list that a path pattern belongs to, below a host's root. "/a/b" has the segments a, b; "/a/" has a and an
   empty one, which as a prefix asks for some segment behind a and as an exact path for just the empty one. */
static uint32_t list_of_path(struct builder *b, uint32_t root, const struct compiled_route *r)
{
    enum path_match_kind kind = r->config->match.path_kind;
    bool is_everything = kind == PATH_PREFIX && r->path.len == 1;
    if (kind == PATH_ANY || kind == PATH_REGEX || is_everything)
        return root * LIST_KINDS + LIST_REACHED;
    uint32_t node = root;
    struct slice rest = slice_after(r->path, 1), segment;
    while (take_segment(&rest, &segment))
        node = edge_make(b, node, segment);
    if (kind == PATH_PREFIX && segment.len == 0)
        return node * LIST_KINDS + LIST_BELOW;
    node = edge_make(b, node, segment);
    return node * LIST_KINDS + (kind == PATH_EXACT ? LIST_ENDED : LIST_REACHED);
}

static void post(struct builder *b, uint32_t root, const struct compiled_route *r)
{
    b->postings[b->posting_count++] = (struct posting){ list_of_path(b, root, r), r->index };
}

static void post_route(struct builder *b, const struct compiled_route *r)
{
    if (r->host_count == 0)
        post(b, NODE_ANY_HOST, r);
    for (size_t i = 0; i < r->host_count; i++)
        post(b, root_of_pattern(b, r->hosts[i]), r);
}

/* The edges where they stay, and the nodes by number. */
static struct node **lay_out_nodes(struct builder *b, struct arena *arena)
{
    struct route_index *x = b->index;
    struct node **nodes = memory_resize_array(NULL, b->node_count, sizeof *nodes);
    x->edges = arena_zalloc_lines(arena, b->edge_capacity, sizeof *x->edges);
    memcpy(x->edges, b->edges, b->edge_capacity * sizeof *x->edges);
    x->edge_mask = b->edge_capacity - 1;
    for (uint32_t i = 0; i < NODE_FIXED_COUNT; i++) {
        x->fixed[i].number = i;
        nodes[i] = &x->fixed[i];
    }
    for (uint32_t i = 0; i < b->edge_capacity; i++)
        if (x->edges[i].child.number != 0)
            nodes[x->edges[i].child.number] = &x->edges[i].child;
    for (uint32_t i = 0; i < b->edge_capacity; i++)
        if (x->edges[i].child.number != 0)
            nodes[x->edges[i].parent]->has_edges = true;
    return nodes;
}

static struct list_range *list_at(struct node *const *nodes, uint32_t list)
{
    return &nodes[list / LIST_KINDS]->lists[list % LIST_KINDS];
}

/* Where the routes of a list stand: one alone in the list itself, which spares a walk another miss. */
static const uint32_t *list_routes(const struct route_index *x, const struct list_range *list)
{
    return list->count == 1 ? &list->first : &x->postings[list->first];
}

/* Sorts the postings by list, keeping file order inside each: a counting sort. */
static void lay_out_lists(struct builder *b, struct node *const *nodes, struct arena *arena)
{
    struct route_index *x = b->index;
    x->postings = arena_zalloc_array(arena, b->posting_count, sizeof *x->postings);
    for (uint32_t i = 0; i < b->posting_count; i++)
        list_at(nodes, b->postings[i].list)->count++;
    uint32_t first = 0;
    for (uint32_t list = 0; list < b->node_count * LIST_KINDS; list++) {
        list_at(nodes, list)->first = first;
        first += list_at(nodes, list)->count;
        list_at(nodes, list)->count = 0;
    }
    for (uint32_t i = 0; i < b->posting_count; i++) {
        struct list_range *list = list_at(nodes, b->postings[i].list);
        x->postings[list->first + list->count++] = b->postings[i].route;
    }
    for (uint32_t list = 0; list < b->node_count * LIST_KINDS; list++)
        if (list_at(nodes, list)->count == 1)
            list_at(nodes, list)->first = x->postings[list_at(nodes, list)->first];
}

/* One list is one host and path. At the place of the first route too many: those before it are no worse than
   planned. */
static void warn_competing(const struct builder *b, struct node *const *nodes, const struct compiled_route *routes,
                           struct err_list *errors)
{
    for (uint32_t list = 0; list < b->node_count * LIST_KINDS; list++) {
        const struct list_range *range = list_at(nodes, list);
        if (range->count <= INDEX_COMPETING_MAX)
            continue;
        const uint32_t *members = list_routes(b->index, range);
        const struct route_config *first = routes[members[0]].config;
        struct err *e =
            err_add_warning(errors, routes[members[INDEX_COMPETING_MAX]].config->place,
                            "%u routes compete for one host and path, as \"%.*s\" does: they are tried one by one",
                            range->count, SLICE_ARG(first->name));
        err_hint(errors, e, "let hosts or paths tell them apart");
    }
}

struct route_index *index_build(struct arena *arena, const struct compiled_route *routes, uint32_t route_count,
                                struct err_list *errors)
{
    struct builder b = { .index = arena_zalloc(arena, sizeof *b.index), .node_count = NODE_FIXED_COUNT };
    b.index->route_count = route_count;
    b.postings = memory_resize_array(NULL, posting_count_bound(routes, route_count), sizeof *b.postings);
    edges_grow(&b);
    for (uint32_t i = 0; i < NODE_FIXED_COUNT; i++)
        b.hashes[i] = i;
    for (uint32_t i = 0; i < route_count; i++)
        post_route(&b, &routes[i]);
    struct node **nodes = lay_out_nodes(&b, arena);
    lay_out_lists(&b, nodes, arena);
    warn_competing(&b, nodes, routes, errors);
    memory_free(nodes);
    memory_free(b.postings);
    memory_free(b.edges);
    memory_free(b.hashes);
    return b.index;
}

/* ---- walking ----------------------------------------------------------------------------------------------------- */

static void add_run(const struct route_index *x, struct index_cursor *cursor, const struct node *node,
                    enum list_kind kind)
{
    const struct list_range *list = &node->lists[kind];
    if (list->count == 0)
        return;
    if (cursor->run_count == INDEX_MAX_LISTS) { /* rather slow than wrong */
        cursor->is_everything = true;
        return;
    }
    const uint32_t *first = list_routes(x, list);
    cursor->runs[cursor->run_count++] = (struct index_run){ first, first + list->count };
}

static void walk_path(const struct route_index *x, struct index_cursor *cursor, struct position at, struct slice path)
{
    add_run(x, cursor, at.node, LIST_REACHED);
    if (path.len == 0 || path.ptr[0] != '/')
        return;
    struct slice rest = slice_after(path, 1), segment;
    bool has_more = true;
    while (has_more) {
        add_run(x, cursor, at.node, LIST_BELOW);
        has_more = take_segment(&rest, &segment);
        if (!edge_follow(x, &at, segment))
            return;
        add_run(x, cursor, at.node, LIST_REACHED);
    }
    add_run(x, cursor, at.node, LIST_ENDED);
}

/* Tries each dot of the host, but no further to the left than the longest pattern reaches: a peer chooses the number
   of dots. */
static void walk_wild_hosts(const struct route_index *x, struct index_cursor *cursor, struct slice host,
                            struct slice path)
{
    if (x->wild_max_bytes == 0)
        return;
    size_t dot = host.len > x->wild_max_bytes + 1 ? host.len - x->wild_max_bytes - 1 : 1;
    for (; dot < host.len; dot++) {
        struct position at = position_of_fixed(x, NODE_WILD_HOSTS);
        if (host.ptr[dot] == '.' && edge_follow(x, &at, slice_after(host, dot + 1)))
            walk_path(x, cursor, at, path);
    }
}

void index_begin(const struct route_index *x, struct slice host, struct slice path, struct index_cursor *cursor)
{
    cursor->run_count = 0;
    cursor->is_everything = false;
    cursor->next = 0;
    cursor->route_count = x->route_count;
    struct position at = position_of_fixed(x, NODE_EXACT_HOSTS);
    if (edge_follow(x, &at, host))
        walk_path(x, cursor, at, path);
    walk_wild_hosts(x, cursor, host, path);
    walk_path(x, cursor, position_of_fixed(x, NODE_ANY_HOST), path);
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
