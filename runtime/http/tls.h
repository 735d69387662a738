/* runtime/http/tls.h: TLS 1.2 and later under the connections. */
#pragma once
#include <stdbool.h>

struct bufferevent;
struct error;
struct event_base;
struct tls; /* a certificate and its key */

/* Reads both PEM files and checks that they belong together. ERROR_INPUT names the file; so a key
 * that wants a password. */
bool tls_open(struct tls **out, const char *cert_file, const char *key_file, struct error *err);
/* Connections that it accepted go on. NULL is fine. */
void tls_close(struct tls *tls);

/* The server's side of a connection, which begins with the handshake; takes the socket.
 * NULL: out of memory, the socket is still the caller's. */
struct bufferevent *tls_accept(struct tls *tls, struct event_base *base, int socket);
/* Tells the client that no more comes. Once all output is sent. */
void tls_say_end(struct bufferevent *connection);
