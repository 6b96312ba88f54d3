/* admin/openapi.c - the API described as OpenAPI 3.1, generated from the table that dispatches it.
 *
 * Made anew for each request: it is asked for once in a while, and cannot be out of date. What the documents of answers hold
 * is a table of its own (answers.c); what they mean is in docs/admin-api.md. */
#include "admin/answers.h"
#include "admin/dispatch.h"

#include <ctype.h>
#include <string.h>

static void put_argument(struct json *list, const char *in, struct slice name, const char *doc)
{
    struct json *p = json_push_object(list);
    json_put_string(p, "name", name);
    json_put_cstr(p, "in", in);
    json_put_bool(p, "required", strcmp(in, "path") == 0);
    if (doc != NULL)
        json_put_cstr(p, "description", doc);
    json_put_cstr(json_put_object(p, "schema"), "type", "string");
}

/* The {x} of the path, then the query's. */
static void put_arguments(struct json *operation, const struct endpoint_row *row)
{
    struct json *list = json_put_array(operation, "parameters");
    struct slice rest = slice_from_cstr(row->path);
    for (;;) {
        rest = slice_after(rest, slice_find(rest, '{') + 1);
        size_t end = slice_find(rest, '}');
        if (end == rest.len)
            break;
        put_argument(list, "path", slice_first(rest, end), NULL);
    }
    for (size_t i = 0; i < ENDPOINT_ARGUMENTS_MAX && row->arguments[i].name != NULL; i++)
        put_argument(list, "query", slice_from_cstr(row->arguments[i].name), row->arguments[i].doc);
}

/* The parts of the table that are JSON text. */
static struct json *parsed(const char *text)
{
    struct text fault = { 0 };
    struct json *j = json_parse(slice_from_cstr(text), &fault);
    CHECK(j != NULL);
    text_fini(&fault);
    return j;
}

static void put_body(struct json *operation, const struct endpoint_row *row)
{
    struct json *body = json_put_object(operation, "requestBody");
    struct json *json = json_put_object(json_put_object(body, "content"), "application/json");
    struct json *schema = json_put_object(json, "schema");
    if (row->takes_lines)
        json_put_object(json_edit(body, "content"), "application/x-ndjson");
    json_put_bool(body, "required", true);
    json_put_cstr(schema, "type", "object");
    if (row->body != NULL)
        json_put(schema, "properties", parsed(row->body));
    else
        json_put_object(schema, "properties");
    struct json *reason = json_put_object(json_edit(schema, "properties"), "reason");
    json_put_cstr(reason, "type", "string");
    json_put_cstr(reason, "description", "why, for the audit log; ?reason= is taken too");
    json_put_i64(reason, "maxLength", CALL_REASON_BYTES);
    json_push_string(json_put_array(schema, "required"), SLICE("reason"));
}

/* A document of that shape, or text without one. */
static void put_response(struct json *responses, const char *status, const char *description,
                         const struct answer_row *answer)
{
    struct json *response = json_put_object(responses, status);
    struct text reference = { 0 };
    json_put_cstr(response, "description", description);
    struct json *media = json_put_object(json_put_object(response, "content"), answer->content_type);
    struct json *schema = json_put_object(media, "schema");
    text_printf(&reference, "#/components/schemas/%s", answer->shape != NULL ? answer->shape : "");
    if (answer->shape != NULL)
        json_put_string(schema, "$ref", text_slice(&reference));
    else
        json_put_cstr(schema, "type", "string");
    text_fini(&reference);
}

static void put_responses(struct json *operation, const struct endpoint_row *row)
{
    static const struct answer_row error = { .shape = "error", .content_type = "application/json" };
    const struct answer_row *answer = answer_find(row->method, row->path);
    struct json *responses = json_put_object(operation, "responses");
    if (answer != NULL)
        put_response(responses, row->success, "done", answer);
    if (strcmp(row->path, "/readyz") == 0)
        put_response(responses, "503", "clients are not served yet, or not any more", answer);
    if (strcmp(row->path, "/api/v1/events") == 0 && strcmp(row->method, "GET") == 0)
        json_put_object(json_edit(json_edit(responses, row->success), "content"), "text/event-stream");
    put_response(responses, "default", "an error", &error);
}

static void put_operation(struct json *path, const struct endpoint_row *row)
{
    char method[8] = "";
    for (size_t i = 0; i < sizeof method - 1 && row->method[i] != '\0'; i++)
        method[i] = (char)tolower((unsigned char)row->method[i]);
    struct json *operation = json_put_object(path, method);
    json_put_cstr(operation, "summary", row->summary);
    if (row->access == ACCESS_ROLE)
        json_put_cstr(operation, "x-weir-role", role_names[row->role]);
    put_arguments(operation, row);
    if (strcmp(row->method, "GET") != 0)
        put_body(operation, row);
    put_responses(operation, row);
}

/* All methods of one path stand together. */
static void put_paths(struct json *root)
{
    struct json *paths = json_put_object(root, "paths");
    for (size_t i = 0; i < endpoint_row_count; i++) {
        struct json *path = json_edit(paths, endpoint_rows[i].path);
        if (path == NULL)
            path = json_put_object(paths, endpoint_rows[i].path);
        put_operation(path, &endpoint_rows[i]);
    }
}

static const char components[] =
    "{\"securitySchemes\":{\"token\":{\"type\":\"http\",\"scheme\":\"bearer\"}},"
    "\"schemas\":{\"error\":{\"type\":\"object\",\"properties\":{\"error\":{\"type\":\"object\","
    "\"properties\":{\"code\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},"
    "\"problems\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}},"
    "\"required\":[\"code\",\"message\"]}},\"required\":[\"error\"]}}}";

void api_openapi(struct admin_call *call)
{
    struct process_status status = { 0 };
    call->control->status(call->control->arg, call->arena, &status);
    struct json *root = json_create_object();
    json_put_cstr(root, "openapi", "3.1.0");
    struct json *info = json_put_object(root, "info");
    json_put_cstr(info, "title", "weir admin API");
    json_put_cstr(info, "version", status.version);
    json_put(root, "security", parsed("[{\"token\":[]}]"));
    put_paths(root);
    json_put(root, "components", parsed(components));
    answers_put_shapes(json_edit(json_edit(root, "components"), "schemas"));
    reply_json(call->reply, 200, root);
}
