{
  "targets": [
    {
      "target_name": "locktable",
      "sources": [
        "native/addon.cc",
        "native/mapping.cc",
        "native/liveness.cc",
        "native/death_watch.cc",
        "native/sentinel.cc",
        "native/ringer.cc",
        "native/lockfile.cc",
        "native/files.cc",
        "native/directory.cc",
        "native/bytes.cc"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      # The last one: an exception in a thread that is being terminated cannot be thrown any more, and is not to end the process.
      "defines": ["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "cflags_cc!": ["-fno-exceptions", "-std=gnu++14", "-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["-std=c++17", "-fexceptions", "-fvisibility=hidden", "-Wall", "-Wextra"]
    }
  ]
}
