/* runtime/jinja/filters.h: (to be written) */
#pragma once
