#include "runtime/api/api.h"

#include "base/error.h"
#include "runtime/api/call.h"
#include "runtime/api/reading.h"
#include "runtime/api/sleep.h"

#include <string.h>

bool api_check_model(const struct api *api, const char *name, struct error *err)
{
    if (name == NULL || *name == '\0')
        return true;
    for (int i = 0; i < api->model.n_names; i++)
        if (strcmp(api->model.name[i], name) == 0)
            return true;
    error_set(err, ERROR_INPUT, "The model `%.200s` does not exist.", name);
    error_param(err, "model");
    return error_code(err, "model_not_found");
}

bool api_settle(struct api *api)
{
    const bool has_read = reading_step(api);
    const bool any = has_read || api->ended.first != NULL;
    while (api->ended.first != NULL)
        call_tell_end(api->ended.first);
    return sleep_settle(api) || any;
}

void api_give_up(struct api *api, const struct error *why)
{
    reading_fail_all(api, why);
    api_sleep_fail(api, why);
}
