# find_package(flamingo) gives these targets:
#
#   flamingo::flamingo   the shared library where there is one; the static one if FLAMINGO_STATIC is ON
#   flamingo::static     the static library
#   flamingo::shared     the shared library, where there is one
#
# The file finds the libraries and headers of the prefix that it is installed in. Beside it, a library for
# microcontrollers has flamingoSmall.cmake, which says so: programs must see the same sizes as the library.
include("${CMAKE_CURRENT_LIST_DIR}/flamingoSmall.cmake" OPTIONAL)
get_filename_component(_flamingo_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(_flamingo_lib lib lib64)
if(CMAKE_LIBRARY_ARCHITECTURE)
    list(INSERT _flamingo_lib 0 lib/${CMAKE_LIBRARY_ARCHITECTURE})
endif()

# _flamingo_target(kind KIND file): the imported target flamingo::kind, if the file is there.
function(_flamingo_target kind type file)
    if(TARGET flamingo::${kind})
        return()
    endif()
    # No find_file: its result would stay in the cache when the prefix changes, and a toolchain file may forbid it.
    foreach(folder IN LISTS _flamingo_lib)
        set(library "${_flamingo_prefix}/${folder}/${file}")
        if(EXISTS "${library}")
            break()
        endif()
    endforeach()
    if(EXISTS "${library}")
        add_library(flamingo::${kind} ${type} IMPORTED)
        set_target_properties(flamingo::${kind} PROPERTIES
            IMPORTED_LOCATION "${library}"
            INTERFACE_INCLUDE_DIRECTORIES "${_flamingo_prefix}/include"
            INTERFACE_COMPILE_DEFINITIONS "${_flamingo_definitions}")
    endif()
endfunction()

_flamingo_target(static STATIC libflamingo.a)
_flamingo_target(shared SHARED libflamingo.so)
if(NOT TARGET flamingo::flamingo)
    if(TARGET flamingo::shared AND NOT FLAMINGO_STATIC)
        set(_flamingo_kind shared)
    elseif(TARGET flamingo::static)
        set(_flamingo_kind static)
    else()
        set(flamingo_FOUND FALSE)
        set(flamingo_NOT_FOUND_MESSAGE "no libflamingo.a or libflamingo.so below ${_flamingo_prefix}")
        return()
    endif()
    add_library(flamingo::flamingo INTERFACE IMPORTED)
    set_target_properties(flamingo::flamingo PROPERTIES INTERFACE_LINK_LIBRARIES flamingo::${_flamingo_kind})
endif()
