# What the Python package holds beside its own sources, for scikit-build-core (pyproject.toml): the two libraries by the
# names that programs load, the program and the default model.
set(SAMC_BUILT "" CACHE PATH "A finished build whose files the package takes, so that none is compiled: for tests")
set(samc_abi ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
if(SAMC_BUILT)
    file(REAL_PATH ${SAMC_BUILT}/libsamc.so.${samc_abi} samc_library)
    file(REAL_PATH ${SAMC_BUILT}/libsamc_io.so.${samc_abi} samc_io_library)
    set(samc_program ${SAMC_BUILT}/bin/samc)
    foreach(target samc_shared samc_io_shared samc-cli) # which pip asks for
        add_custom_target(${target})
    endforeach()
else()
    set(samc_library $<TARGET_FILE:samc_shared>)
    set(samc_io_library $<TARGET_FILE:samc_io_shared>)
    set(samc_program $<TARGET_FILE:samc-cli>)
    # Files in a wheel are no links, and libsamc lies beside libsamc_io.
    set_target_properties(samc_io_shared PROPERTIES INSTALL_RPATH "$ORIGIN" BUILD_WITH_INSTALL_RPATH ON)
endif()
set(native samc/native)
install(FILES ${samc_library} DESTINATION ${native}/lib RENAME libsamc.so.${samc_abi} COMPONENT python)
install(FILES ${samc_io_library} DESTINATION ${native}/lib RENAME libsamc_io.so.${samc_abi} COMPONENT python)
install(PROGRAMS ${samc_program} DESTINATION ${native}/bin COMPONENT python)
install(FILES ${CMAKE_SOURCE_DIR}/weights/samc-tiny.safetensors
        DESTINATION ${native}/share/samc COMPONENT python)
