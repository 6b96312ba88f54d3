/* outbound/http_client.c - one HTTP request at a time, blocking: how the command line talks to a running instance.
 *
 * A handle for each call: a command makes one, so there is no connection worth keeping, and no option of one call can reach the
 * next. curl_easy_init sets libcurl up when nobody has; that is not thread-safe, and the command line has one thread. */
#include "outbound/http_client.h"

#include <curl/curl.h>

#include <errno.h>
#include <string.h>

/* Where bytes of the body go. */
struct sink {
    CURL *curl;
    const struct http_call *call;
    struct http_answer *answer;
};

static bool is_streamed(const struct sink *sink)
{
    long status = 0;
    curl_easy_getinfo(sink->curl, CURLINFO_RESPONSE_CODE, &status);
    return sink->call->on_bytes != NULL && status >= 200 && status < 300;
}

/* libcurl's write callback: fewer bytes than offered end the transfer with CURLE_WRITE_ERROR. */
static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    const struct sink *sink = arg;
    struct http_answer *answer = sink->answer;
    size_t length = size * count;
    if (is_streamed(sink))
        return sink->call->on_bytes(sink->call->arg, slice_from(bytes, length)) ? length : 0;
    if (length > HTTP_ANSWER_MAX_BYTES - answer->body.len) {
        text_add_cstr(&answer->error, "the answer is too long");
        return 0;
    }
    text_add(&answer->body, slice_from(bytes, length));
    return length;
}

/* "Expect:" takes away what libcurl would add to longer bodies (RFC 9110 10.1.1): the answer to 100-continue costs a round trip, and our
   bodies are short. The list belongs to the caller, and has to live until the transfer is over. */
static struct curl_slist *fields_create(const struct http_call *call)
{
    struct curl_slist *fields = curl_slist_append(NULL, "Expect:");
    if (call->json.ptr != NULL)
        fields = curl_slist_append(fields, "Content-Type: application/json");
    if (call->token != NULL) {
        struct text line = { 0 };
        text_printf(&line, "Authorization: Bearer %s", call->token);
        fields = curl_slist_append(fields, line.bytes);
        text_fini(&line);
    }
    return fields;
}

static void prepare_tls(CURL *curl, const struct http_call *call)
{
    if (call->ca_file != NULL)
        curl_easy_setopt(curl, CURLOPT_CAINFO, call->ca_file);
    if (call->is_insecure) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

/* What is not set matters too: FOLLOWLOCATION is off, so the token goes to nobody whom an answer names. PROXY "" overrides
   http_proxy and its like. NOSIGNAL keeps libcurl from using SIGALRM for look-ups that take too long. POSTFIELDS is not copied: the body
   is borrowed until the transfer is over. */
static void prepare(CURL *curl, const struct http_call *call)
{
    curl_easy_setopt(curl, CURLOPT_URL, call->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    if (call->unix_path != NULL)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, call->unix_path);
    if (call->json.ptr != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->json.len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->json.ptr);
    }
}

static void prepare_body(CURL *curl, const struct http_call *call, struct sink *sink)
{
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, sink);
    if (call->on_bytes == NULL) {
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
        return;
    }
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)call->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)HTTP_SILENCE_S);
}

/* The system's word for a failed connect, libcurl's for everything else. */
static void explain(CURL *curl, CURLcode code, const char *detail, struct http_answer *answer)
{
    long error_number = 0;
    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error_number);
    if (code == CURLE_COULDNT_CONNECT)
        answer->error_number = (int)error_number;
    if (answer->error.len > 0)
        return;
    if (answer->error_number != 0)
        text_add_cstr(&answer->error, strerror(answer->error_number));
    else
        text_add_cstr(&answer->error, detail[0] != '\0' ? detail : curl_easy_strerror(code));
}

bool http_client_call(const struct http_call *call, struct http_answer *answer)
{
    *answer = (struct http_answer){ 0 };
    CURL *curl = curl_easy_init();
    if (curl == NULL) {
        text_add_cstr(&answer->error, "libcurl could not be set up");
        return false;
    }
    char detail[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    struct curl_slist *fields = fields_create(call);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    struct sink sink = { curl, call, answer };
    prepare(curl, call);
    prepare_body(curl, call, &sink);
    prepare_tls(curl, call);
    CURLcode code = curl_easy_perform(curl);
    long status = 0;
    if (code == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    else
        explain(curl, code, detail, answer);
    answer->status = (int)status;
    curl_slist_free_all(fields);
    curl_easy_cleanup(curl);
    return code == CURLE_OK;
}

void http_answer_fini(struct http_answer *answer)
{
    text_fini(&answer->body);
    text_fini(&answer->error);
}
