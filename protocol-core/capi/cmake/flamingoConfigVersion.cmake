# The version of this package is that of the installed header. Until 1.0, another minor version is another ABI.
file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/../../../include/flamingo.h" _flamingo_line
    REGEX "^#define FLAMINGO_VERSION " LIMIT_COUNT 1)
string(REGEX REPLACE ".*\"(.*)\".*" "\\1" PACKAGE_VERSION "${_flamingo_line}")
string(REGEX MATCH "^[0-9]+\\.[0-9]+" _flamingo_minor "${PACKAGE_VERSION}")
set(PACKAGE_VERSION_COMPATIBLE FALSE)
if(PACKAGE_FIND_VERSION VERSION_LESS_EQUAL PACKAGE_VERSION
        AND PACKAGE_FIND_VERSION VERSION_GREATER_EQUAL _flamingo_minor)
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()
if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
endif()
