# GDAL: scenes with a place on the earth, polygons and rasters on maps. It is not linked but loaded when it is first
# wanted (host/io/gdal.h): its more than a hundred libraries take longer to load than samc itself.
#   SAMC_GDAL_SOURCES, SAMC_GDAL_DEFINITIONS, SAMC_GDAL_INCLUDES  for samc_io
set(SAMC_GDAL AUTO CACHE STRING "Maps: ON, OFF, or AUTO: wherever libgdal-dev is found")
set(SAMC_GDAL_SOURCES io/geo_none.c)
set(SAMC_GDAL_DEFINITIONS)
set(SAMC_GDAL_INCLUDES)
set(SAMC_WITH_GDAL OFF)
if(SAMC_GDAL STREQUAL ON OR (SAMC_GDAL STREQUAL AUTO AND NOT SAMC_FORMATS_OFF))
    pkg_check_modules(GDAL gdal>=3.4)
    find_library(GDAL_LIBRARY gdal HINTS ${GDAL_LIBRARY_DIRS})
    find_path(GDAL_INCLUDE_DIR gdal.h HINTS ${GDAL_INCLUDE_DIRS} PATH_SUFFIXES gdal)
    find_path(PROJ_INCLUDE_DIR geodesic.h)
    if(GDAL_FOUND AND GDAL_LIBRARY AND GDAL_INCLUDE_DIR AND PROJ_INCLUDE_DIR AND CMAKE_READELF)
        # the name that programs linked with it ask for
        execute_process(COMMAND ${CMAKE_READELF} -d ${GDAL_LIBRARY} OUTPUT_VARIABLE names ERROR_QUIET)
        if(names MATCHES "soname: \\[([^]]+)\\]")
            set(SAMC_WITH_GDAL ON)
            set(SAMC_GDAL_SOURCES io/gdal.c io/geo.c io/geo_area.c io/geo_beside.c
                io/geo_boxes.c io/geo_files.c io/geo_labels.c io/geo_out.c
                io/geo_read.c io/geo_vector.c io/geo_vrt.c io/geo_wgs84.c)
            set(SAMC_GDAL_DEFINITIONS SAMC_WITH_GDAL SAMC_GDAL_LIBRARY="${CMAKE_MATCH_1}")
            set(SAMC_GDAL_INCLUDES ${GDAL_INCLUDE_DIR} ${PROJ_INCLUDE_DIR})
        endif()
    endif()
    if(NOT SAMC_WITH_GDAL AND SAMC_GDAL STREQUAL ON)
        message(FATAL_ERROR "SAMC_GDAL is ON, but the library was not found (Debian: libgdal-dev)")
    endif()
endif()
if(NOT SAMC_WITH_GDAL)
    message(STATUS "maps: off (libgdal-dev was not found, or SAMC_GDAL is OFF)")
endif()
