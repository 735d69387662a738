/* runtime/jinja/builtins/urls.h: what the filter urlize takes for an address. Bytes [begin, end) of
 * texts without white space.
 *
 * Source: the behaviour of jinja2.utils.urlize: web addresses with a scheme or "www.", names below
 * com, net, int, edu, gov, org, info and mil, IPv4 and IPv6 with a scheme; mail addresses.
 */
#pragma once
#include "runtime/jinja/values/value.h"

bool url_is_web(const struct string *s, size_t begin, size_t end);
bool url_is_mail(const struct string *s, size_t begin, size_t end);
bool url_is_scheme(const struct string *s); /* "tel:", "ftp://" */
