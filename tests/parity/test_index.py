"""What stands between brackets."""

import pytest

from tests.parity.expressions import agree, refuse

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch deprecates some of the forms below

AGREE = """
x[0]
x[-1]
x[0,1,2]
x[1:]
x[:,1]
x[...,0]
x[...,None]
x[None,...,None,0]
x[:,::2]
x[[0,1],[1,2]]
x[[0,1]]
x[[[0,1],[1,0]]]
x[0,:,[0,1]]
x[:,0,[0,1]]
x[[0,1],:,[0,1]]
x[[0,1],None,[0,1]]
x[:,[0,1],[0,1]]
x[...,[0,1]]
x[i([0,1],[1,0])]
x[i(0,1),i(1,1)]
x[i(0,1).int()]
x[i(0)[0]]
x[i(0)[0],i(1)[0]]
x[T.tensor(True)]
x[True]
x[False]
x[None,True]
x[b]
x[:,T.tensor([True,False,True])]
x[b,0]
x[b,i(0)]
x[[True,False]]
x[x.detach()>3]
m[m.detach()>100]
x[i(1,0).byte()]
x[np.array([0,1])]
x[np.int64(1)]
x[np.array(1)]
x[np.array([[True]*3,[False]*3])]
x[()]
x[...]
x[:]
x[[]]
s[()]
s[...]
s[None]
s[True]
x[slice(0,1),slice(None)]
x[(0,[0,1])]
x[range(2)]
x[[0,slice(0,1)]]
x[...,...]
x[:100]
x[-100:]
x[1:0]
x[i(0)[0]:i(2)[0]]
x[:,i(0,2),:,None]
x[:,:,[[0,1],[2,3]]]
x[0][1][2]
list(m)
[q.sum() for q in x]
len(x)
z[[]]
z[:,0]
z[z.detach()>0]
"""

REFUSE = """
x[2]
x[0,0,0,0]
x[::-1]
x[i()]
x[5]
x[0,5]
x[i(5)]
x[i(-3)]
x[0.5]
x[1.0:]
x[T.tensor([0.5])]
x[T.tensor([True,False,True])]
x[i(0,1),i(0,1,2)]
s[0]
s[i(0)]
len(s)
list(s)
"""


@pytest.mark.parametrize("expression", AGREE.split("\n")[1:-1])
def test_agrees_with_pytorch(expression):
    agree(expression)


@pytest.mark.parametrize("expression", REFUSE.split("\n")[1:-1])
def test_is_refused_as_in_pytorch(expression):
    refuse(expression)
