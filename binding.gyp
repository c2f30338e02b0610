{
  'variables': {
    'root%': '.',
    'node_addon_api%': '<(root)/node_modules/node-addon-api',
    'sanitize%': 0,
  },
  'target_defaults': {
    'include_dirs': ['<(root)/native'],
    'cflags': ['-Wall', '-Wextra', '-Werror', '-ffunction-sections', '-fdata-sections'],
    'cflags!': ['-Wno-unused-parameter', '-O3'],
    'cflags_cc': ['-std=c++20', '-fno-exceptions', '-fno-rtti'],
    'cflags_cc!': ['-std=gnu++17', '-std=gnu++20'],
    'ldflags': ['-Wl,--gc-sections'],
    'conditions': [
      ['sanitize==1', {
        'cflags': ['-O1', '-g', '-fno-omit-frame-pointer', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
        'ldflags': ['-fsanitize=address,undefined'],
        'defines': ['COVET_SANITIZE'],
      }, {
        'cflags': ['-Os'],
        'ldflags': ['-s'],
      }],
    ],
    'configurations': {'Release': {'cflags!': ['-O3']}},
  },
  'targets': [
    {
      'target_name': 'covet',
      'sources': ['<!@(find <(root)/native/addon <(root)/native/acceptor <(root)/native/sys -name "*.cc" | sort)'],
      # Hidden: what nothing of the addon calls is left out, and with it what that would ask of a newer glibc.
      'cflags': ['-fvisibility=hidden', '-isystem <(node_addon_api)', '-isystem <(node_root_dir)/include/node'],
      # A thread that is terminated inside a call into JS cannot throw: node-addon-api would abort the process.
      'defines': ['NAPI_VERSION=9', 'NAPI_DISABLE_CPP_EXCEPTIONS', 'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS'],
      'libraries': ['-lpthread'],
    },
    {
      'target_name': 'covet-init',
      'type': 'executable',
      'sources': ['<!@(find <(root)/native/init <(root)/native/sys -name "*.cc" | sort)'],
      'conditions': [['sanitize==0', {'ldflags': ['-static']}]],
    },
    {
      'target_name': 'covet-exec',
      'type': 'executable',
      'sources': ['<!@(find <(root)/native/exec <(root)/native/sys -name "*.cc" | sort)'],
      'conditions': [['sanitize==0', {'ldflags': ['-static']}]],
    },
  ],
}
