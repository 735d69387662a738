/* runtime/jinja/scope.h: (to be written) */
#pragma once
