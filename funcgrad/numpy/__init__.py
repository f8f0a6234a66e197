"""Arrays with NumPy's names and JAX's meaning."""

from funcgrad.numpy import methods as _methods
from funcgrad.numpy.creation import *
from funcgrad.numpy.elementwise import *
from funcgrad.numpy.manipulation import *
from funcgrad.numpy.products import *
from funcgrad.numpy.reductions import *
from funcgrad.numpy.ufuncs import *
