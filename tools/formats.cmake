# Image formats that are read by libraries which a build may be without. Each is AUTO (where pkg-config finds the
# library), ON or OFF; SAMC_FORMATS_OFF turns off all that are not ON. What was found:
#   SAMC_FORMAT_NAMES        of all, found or not
#   SAMC_FORMAT_SOURCES      readers, for samc_io
#   SAMC_FORMAT_DEFINITIONS  SAMC_WITH_<NAME>
#   SAMC_FORMAT_PACKAGES     imported targets
#   SAMC_FORMAT_LIBRARIES    the libraries' names, for those who link the installed archive
option(SAMC_FORMATS_OFF "No image format that wants a library of its own, but those that are ON" OFF)
set(SAMC_FORMAT_NAMES)
set(SAMC_FORMAT_SOURCES)
set(SAMC_FORMAT_DEFINITIONS)
set(SAMC_FORMAT_PACKAGES)
set(SAMC_FORMAT_LIBRARIES)

# samc_format(NAME "what it reads" "Debian's package" source libraries... PACKAGES pkg-config's modules...)
function(samc_format name what package)
    cmake_parse_arguments(FORMAT "" "" "SOURCE;PACKAGES" ${ARGN})
    set(SAMC_${name} AUTO CACHE STRING "${what}: ON, OFF, or AUTO: wherever ${package} is found")
    set(SAMC_FORMAT_NAMES ${SAMC_FORMAT_NAMES} ${name} PARENT_SCOPE)
    if(SAMC_${name} STREQUAL OFF OR (SAMC_${name} STREQUAL AUTO AND SAMC_FORMATS_OFF))
        return()
    endif()
    pkg_check_modules(FORMAT_${name} IMPORTED_TARGET GLOBAL ${FORMAT_PACKAGES})
    if(NOT FORMAT_${name}_FOUND)
        if(SAMC_${name} STREQUAL ON)
            message(FATAL_ERROR "SAMC_${name} is ON, but the library was not found (Debian: ${package})")
        endif()
        message(STATUS "${what}: off (${package} was not found)")
        return()
    endif()
    set(SAMC_FORMAT_SOURCES ${SAMC_FORMAT_SOURCES} ${FORMAT_SOURCE} PARENT_SCOPE)
    set(SAMC_FORMAT_DEFINITIONS ${SAMC_FORMAT_DEFINITIONS} SAMC_WITH_${name} PARENT_SCOPE)
    set(SAMC_FORMAT_PACKAGES ${SAMC_FORMAT_PACKAGES} PkgConfig::FORMAT_${name} PARENT_SCOPE)
    set(SAMC_FORMAT_LIBRARIES ${SAMC_FORMAT_LIBRARIES} ${FORMAT_${name}_LIBRARIES} PARENT_SCOPE)
endfunction()

samc_format(WEBP "WebP" libwebp-dev SOURCE io/image_webp.c PACKAGES libwebp>=1.0 libwebpdemux>=1.0)
samc_format(TIFF "TIFF" libtiff-dev SOURCE io/image_tiff.c io/label_tiff.c io/tiff_samples.c PACKAGES libtiff-4>=4.5)
samc_format(LAB "CIELab in TIFF" liblcms2-dev SOURCE io/lab.c PACKAGES lcms2)
samc_format(AVIF "AVIF" libavif-dev SOURCE io/image_avif.c PACKAGES libavif>=0.11)
samc_format(JPEG2000 "JPEG 2000" libopenjp2-7-dev SOURCE io/image_jpeg2000.c PACKAGES libopenjp2>=2.4)
samc_format(HEIF "HEIC" libheif-dev SOURCE io/image_heif.c PACKAGES libheif>=1.12)
samc_format(JXL "JPEG XL" libjxl-dev SOURCE io/image_jxl.c PACKAGES libjxl>=0.7)

# pkg-config would have all of DCMTK's libraries, and Debian's file for it wants one that its packages do not.
set(SAMC_DICOM AUTO CACHE STRING "DICOM: ON, OFF, or AUTO: wherever libdcmtk-dev is found")
list(APPEND SAMC_FORMAT_NAMES DICOM)
if(NOT SAMC_DICOM STREQUAL OFF AND NOT (SAMC_DICOM STREQUAL AUTO AND SAMC_FORMATS_OFF))
    find_library(DCMTK_LIBRARY dcmjpls)
    find_path(DCMTK_INCLUDE_DIR dcmtk/dcmjpls/djcodecd.h)
    if(DCMTK_LIBRARY AND DCMTK_INCLUDE_DIR)
        set(SAMC_DCMTK_LIBRARIES dcmseg dcmfg dcmiod dcmjpeg ijg8 ijg12 ijg16 dcmjpls dcmdata oflog ofstd stdc++)
        add_library(samc_dcmtk INTERFACE IMPORTED GLOBAL)
        target_include_directories(samc_dcmtk SYSTEM INTERFACE ${DCMTK_INCLUDE_DIR})
        target_link_libraries(samc_dcmtk INTERFACE ${SAMC_DCMTK_LIBRARIES})
        list(APPEND SAMC_FORMAT_SOURCES io/dicom.cc io/dicom_files.c io/dicom_fragments.c io/dicom_frame.c
                                        io/dicom_guard.c io/dicom_seg.cc io/dicom_series.c io/dicom_values.c
                                        io/image_dicom.c)
        list(APPEND SAMC_FORMAT_DEFINITIONS SAMC_WITH_DICOM)
        list(APPEND SAMC_FORMAT_PACKAGES samc_dcmtk)
        list(APPEND SAMC_FORMAT_LIBRARIES ${SAMC_DCMTK_LIBRARIES})
    elseif(SAMC_DICOM STREQUAL ON)
        message(FATAL_ERROR "SAMC_DICOM is ON, but the library was not found (Debian: libdcmtk-dev)")
    else()
        message(STATUS "DICOM: off (libdcmtk-dev was not found)")
    endif()
endif()
