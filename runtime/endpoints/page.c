/* / is the web page, /favicon.ico its icon. Both are the same for everyone and open: what the page
 * asks for needs the key that its user types in. */
#include "runtime/endpoints/endpoint.h"

#include <string.h>

/* page/index.html, by cmake/embed_file.cmake. */
extern const unsigned char page_html[];
extern const size_t page_html_bytes;

struct call *page_call(const struct endpoints *e, const struct call_request *request,
                       const struct reply *reply)
{
    (void)e, (void)request;
    reply->whole(reply->context, 200, "text/html; charset=utf-8", 0, (const char *)page_html,
                 page_html_bytes);
    return NULL;
}

struct call *icon_call(const struct endpoints *e, const struct call_request *request,
                       const struct reply *reply)
{
    static const char icon[] = /* the one in the page */
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\" fill=\"#0f6d6a\">"
        "<path d=\"M1 2h6v6q0 5-3 6-3-1-3-6zM9 2h6v6q0 5-3 6-3-1-3-6z\"/></svg>";
    (void)e, (void)request;
    reply->whole(reply->context, 200, "image/svg+xml", 0, icon, strlen(icon));
    return NULL;
}
