"""Ours and the usual way, measured side by side: ``python -m benchmarks`` (``make bench``). See docs/performance.md.

Networks have random weights where the real ones are large: speed does not depend on them. Not part of the installed
package.
"""
