/* /v1/models and /version: what is served. */
#include "base/error.h"
#include "proto/json_write.h"
#include "runtime/endpoints/endpoint.h"

#include <string.h>

static void add_model(struct bytes *out, const struct api_model *model, const char *name)
{
    bytes_add_text(out, "{\"id\":");
    json_write_string(out, name);
    bytes_add_text(out, ",\"object\":\"model\",\"created\":");
    json_write_int(out, model->created_s);
    bytes_add_text(out, ",\"owned_by\":\"phalanx\",\"root\":");
    json_write_string(out, model->root);
    bytes_add_text(out, ",\"parent\":null,\"max_model_len\":");
    json_write_int(out, model->max_model_len);
    bytes_add_text(out, ",\"permission\":[]}");
}

struct call *models_call(const struct endpoints *e, const struct call_request *call,
                         const struct reply *reply)
{
    (void)call;
    const struct api_model *model = &e->settings.api->model;
    struct bytes out = {0};
    bytes_add_text(&out, "{\"object\":\"list\",\"data\":[");
    for (int i = 0; i < model->n_names; i++) {
        bytes_add_text(&out, i > 0 ? "," : "");
        add_model(&out, model, model->name[i]);
    }
    bytes_add_text(&out, "]}");
    endpoint_answer_json(reply, &out);
    bytes_release(&out);
    return NULL;
}

struct call *model_call(const struct endpoints *e, const struct call_request *call,
                        const struct reply *reply)
{
    const char *name = call->path + strcspn(call->route->path, "{");
    struct error err = {0};
    struct bytes out = {0};
    if (!api_check_model(e->settings.api, name, &err))
        return endpoint_refuse(e, reply, &err);
    add_model(&out, &e->settings.api->model, name);
    endpoint_answer_json(reply, &out);
    bytes_release(&out);
    return NULL;
}

struct call *version_call(const struct endpoints *e, const struct call_request *call,
                          const struct reply *reply)
{
    (void)call;
    const struct api_model *model = &e->settings.api->model;
    struct bytes out = {0};
    bytes_add_text(&out, "{\"version\":");
    json_write_string(&out, PHALANX_VERSION);
    bytes_add_text(&out, ",\"about\":");
    json_write_string(&out, model->about);
    bytes_printf(&out, ",\"tp\":%d,\"pp\":%d,\"dp\":%d}", model->tp, model->pp, model->dp);
    endpoint_answer_json(reply, &out);
    bytes_release(&out);
    return NULL;
}
