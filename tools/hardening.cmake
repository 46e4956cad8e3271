# Hardening of release builds on x86-64, as distributions compile their programs; never together with sanitizers, which
# bring their own checks. tests/hardening_test.py reads in the finished files that it is there.
#   stack protector  a changed return address ends the program (arrays on the stack)
#   FORTIFY          copies whose room the compiler knows are checked
#   stack clash      a large frame cannot step over the guard page
#   RELRO, BIND_NOW  addresses of functions are fixed at the start and read-only afterwards
#   CET              returns and indirect calls go where they should, on processors that check it
option(SAMC_HARDEN "Harden release builds on x86-64 (without sanitizers)" ON)
set(SAMC_HARDENED OFF)
if(SAMC_HARDEN AND CMAKE_BUILD_TYPE STREQUAL Release AND NOT SAMC_SANITIZE AND CMAKE_SYSTEM_PROCESSOR MATCHES
    "x86_64|AMD64")
    set(SAMC_HARDENED ON)
endif()

include(CheckPIESupported)
check_pie_supported(LANGUAGES C CXX)

# Level 3 knows sizes that are computed at run time; older compilers warn that they do not know it.
set(samc_fortify 2)
if((CMAKE_C_COMPILER_ID STREQUAL GNU AND CMAKE_C_COMPILER_VERSION VERSION_GREATER_EQUAL 12) OR
   (CMAKE_C_COMPILER_ID MATCHES Clang AND CMAKE_C_COMPILER_VERSION VERSION_GREATER_EQUAL 14))
    set(samc_fortify 3)
endif()
set(SAMC_HARDENING_COMPILE -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -U_FORTIFY_SOURCE
    -D_FORTIFY_SOURCE=${samc_fortify})
# The linker notes a shadow stack only where every object does, and Debian's start files do not, though all they do is
# call and return. Indirect branches (IBT) are noted by itself where the start files are made for them.
set(SAMC_HARDENING_LINK -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,shstk)

function(samc_harden)
    if(NOT SAMC_HARDENED)
        return()
    endif()
    string(REPLACE ";" "," for_nvcc "${SAMC_HARDENING_COMPILE}")
    foreach(target ${ARGN})
        target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:C,CXX>:${SAMC_HARDENING_COMPILE}>"
                               "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${for_nvcc}>")
        get_target_property(type ${target} TYPE)
        if(type MATCHES "EXECUTABLE|SHARED_LIBRARY")
            target_link_options(${target} PRIVATE ${SAMC_HARDENING_LINK})
        endif()
    endforeach()
endfunction()
