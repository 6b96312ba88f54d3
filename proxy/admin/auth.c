/* admin/auth.c - peers of the UNIX socket and bearer tokens.
 *
 * Whoever may connect to the UNIX socket (mode 0600: root and weir's own user) is admin: such a user could edit the configuration as well.
 * Over TCP it is the token that counts; without any token configured, everybody is a viewer called anonymous. */
#include "admin/auth.h"

#include "base/units.h"
#include "crypto/digest.h"
#include "http/validate.h"

#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>

const char *const role_names[] = {
    [ROLE_VIEWER] = "viewer",
    [ROLE_OPERATOR] = "operator",
    [ROLE_APPROVER] = "approver",
    [ROLE_ADMIN] = "admin",
};

/* What the kernel says of the peer, as of its connect(): it cannot be claimed. The name is looked up for the audit log; a user
   that /etc/passwd does not know is a number. */
struct actor auth_unix_peer(int fd, char name[AUTH_NAME_BYTES])
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    char buffer[1024];
    struct passwd entry, *found = NULL;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
        snprintf(name, AUTH_NAME_BYTES, "unix:unknown");
    else if (getpwuid_r(peer.uid, &entry, buffer, sizeof buffer, &found) == 0 && found != NULL)
        snprintf(name, AUTH_NAME_BYTES, "unix:%s", entry.pw_name);
    else
        snprintf(name, AUTH_NAME_BYTES, "unix:%u", (unsigned)peer.uid);
    return (struct actor){ slice_from_cstr(name), ROLE_ADMIN };
}

/* An IP address cannot be made to resolve elsewhere, and browsers keep localhost to themselves (RFC 6761 6.3). */
bool auth_host_is_local(const struct message *request)
{
    char buffer[256];
    struct ip_address ignored;
    if (request->authority.len >= sizeof buffer)
        return false;
    struct slice host = host_normalise(request->authority, buffer);
    if (host.len > 2 && host.ptr[0] == '[')
        host = slice_from(host.ptr + 1, host.len - 2);
    return slice_equal(host, SLICE("localhost")) || ip_parse(host, &ignored);
}

/* The token of "Bearer TOKEN" (RFC 6750 2.1; the scheme is case-insensitive). */
static bool bearer_token(struct slice value, struct slice *token)
{
    struct slice scheme = slice_first(value, 7);
    if (!slice_equal_nocase(scheme, SLICE("Bearer ")))
        return false;
    *token = slice_trim(slice_after(value, 7));
    return token->len > 0;
}

/* Looks at every token, so that the time does not tell which one it was. */
static bool token_find(const struct admin_config *config, struct slice token, struct actor *out)
{
    char hex[DIGEST_SHA256_HEX_SIZE];
    bool is_found = false;
    digest_sha256_hex(token, hex);
    for (size_t i = 0; i < config->token_count; i++) {
        const struct token_config *t = &config->tokens[i];
        if (digest_equal(slice_from_cstr(hex), t->sha256_hex)) {
            *out = (struct actor){ t->name, t->role };
            is_found = true;
        }
    }
    return is_found;
}

enum auth_verdict auth_tcp_request(const struct admin_config *config, const struct message *request, struct actor *out)
{
    struct slice token;
    const struct field *field = message_field_named(request, SLICE("authorization"), NULL);
    if (config->token_count == 0) {
        *out = (struct actor){ SLICE("anonymous"), ROLE_VIEWER };
        return AUTH_KNOWN;
    }
    if (field == NULL)
        return AUTH_ABSENT;
    if (!bearer_token(field->value, &token) || !token_find(config, token, out))
        return AUTH_BAD_TOKEN;
    return AUTH_KNOWN;
}
